"""What a worker serves: sessions that take mail in, and shards of the spool that are delivered from.

Its own shard takes mail in and is delivered from; an adopted one is only delivered from.
"""

import asyncio
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fastsmtp.accounts.backends import Backend, make_backend
from fastsmtp.accounts.base import AccountsError
from fastsmtp.bounce.original import Original
from fastsmtp.clock import Clock
from fastsmtp.config.errors import SettingsError
from fastsmtp.control import accounts, mail
from fastsmtp.control.metrics import MetricService
from fastsmtp.control.sessions import SessionRequests
from fastsmtp.intake.intake import Intake
from fastsmtp.ledger.keeper import LedgerKeeper
from fastsmtp.limits.counter import Counter, LimitTable
from fastsmtp.limits.guard import ConnectionGuard
from fastsmtp.limits.pressure import Pressure, PressureBoard
from fastsmtp.limits.sites import SiteTable
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mailbox.quota import MOST_WAITING, Quotas
from fastsmtp.maildrop.picker import Picker
from fastsmtp.pool import ThreadPool
from fastsmtp.process.account_desk import EmbeddedDesk
from fastsmtp.process.control import Control
from fastsmtp.process.errors import ShardTaken, StartError
from fastsmtp.process.gauges import Gauges
from fastsmtp.process.ledger import keep_ledger
from fastsmtp.process.mail_desk import make_mail_desk
from fastsmtp.process.maildrop import make_picker
from fastsmtp.process.oauth import Tokens, make_tokens
from fastsmtp.process.outbound import Outbound
from fastsmtp.process.route_names import RouteNames
from fastsmtp.process.routing import SettingsSource
from fastsmtp.process.settings import Settings, watched_places
from fastsmtp.process.shards import keep_spare, remove_shard, take_spare
from fastsmtp.process.shared import Regions
from fastsmtp.process.sockets import Listener
from fastsmtp.process.worker import ProtocolFactory
from fastsmtp.queue.local import LocalRunner
from fastsmtp.queue.remote import RemoteRunner
from fastsmtp.queue.suspects import Suspects
from fastsmtp.routing.reload import Reloader
from fastsmtp.routing.route import Expansion
from fastsmtp.routing.router import Router
from fastsmtp.session.auth import Logins
from fastsmtp.session.service import SessionService
from fastsmtp.spool.base import SpoolError, SpoolFull, SpoolTaken
from fastsmtp.spool.filter import Filter
from fastsmtp.spool.lmdb import LmdbSpool
from fastsmtp.spool.load import SpoolLoad
from fastsmtp.spool.suspects import SuspectBoard
from fastsmtp.store import StorageError
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.telemetry.meter import Meter
from fastsmtp.telemetry.metrics_sites import MOST
from fastsmtp.telemetry.metrics_table import MetricTable
from fastsmtp.tls.store import CertificateStore, renew
from fastsmtp.transport.maildir import MaildirTransport

CONTROL_GRACE = 5.0
"""Seconds for requests of the control socket that are in hand when a worker ends, such as a message that comes in."""
RELEASE_GRACE = 5.0
"""Seconds for deliveries to other hosts from a shard that is given back."""


class _Shard(NamedTuple):
    """An open shard of the spool and who delivers from it: into mailboxes, and to other hosts unless all is held."""

    spool: LmdbSpool
    runner: LocalRunner
    remote: RemoteRunner | None


def _loads(shards: Iterable[_Shard]) -> Iterator[SpoolLoad]:
    for shard in shards:
        try:
            yield shard.spool.load()
        except StorageError:
            pass  # its tree is being opened again


class MailServices:
    """The `Services` of one worker; see there."""

    def __init__(
        self,
        slot: int,
        loop: asyncio.AbstractEventLoop,
        log: MailLog,
        *,
        row: int,
        settings: Settings,
        source: SettingsSource,
        guard: ConnectionGuard,
        limits: LimitTable,
        pressure: PressureBoard,
        sites: SiteTable,
        suspects: Regions,
        remote_suspects: Regions,
        certificates: CertificateStore | None,
        metrics: MetricTable,
        clock: Clock,
    ) -> None:
        log.meter = Meter(metrics.claim(), clock.monotonic)
        self._metrics = metrics
        self._gauges = Gauges(log.meter, clock)
        self._slot = slot
        self._row = row
        self._loop = loop
        self._log = log
        self._settings = settings
        self._source = source
        self._guard = guard
        self._limit_table = limits
        self._pressure = Pressure(
            settings.pressure,
            pressure,
            places=watched_places(settings),
            workers=settings.workers,
            event=log.event,
        )
        self._sites = sites
        self._suspects = suspects
        self._remote_suspects = remote_suspects
        self._certificates = certificates
        self._clock = clock
        counters = ThreadPool("quotas", 1, MOST_WAITING, loop.call_soon_threadsafe)
        self._quotas = Quotas(settings.mailboxes, counters, clock, log.event)
        self._shards: dict[int, _Shard] = {}
        self._ledger: LedgerKeeper | None = None
        self._emptied: set[int] = set()
        """Adopted shards that were told to be empty."""
        self._accounts: Backend
        self._tokens: Tokens | None
        self._limits: Counter
        self._sessions: SessionService
        self._reloader: Reloader
        self._outbound: Outbound
        self._control: Control
        self._picker: Picker | None = None

    def start(self, crashed: bool) -> None:
        """See `Services.start`."""
        settings = self._settings
        self._ledger = keep_ledger(settings, self._log, self._clock)
        self._accounts = self._open_accounts()
        self._tokens = make_tokens(settings, self._clock, self._log.event)
        router = self._router()
        self._limits = self._limit_table.worker(router.trusts, self._log.meter.limited)
        spool = self._open_spool(self._slot)
        intake = Intake(spool, hostname=settings.hostname, clock=self._clock, hops=settings.limits.hops)
        self._outbound = Outbound(
            settings,
            self._row,
            sites=self._sites,
            router=router,
            intake=intake,
            quotas=self._quotas,
            loop=self._loop,
            log=self._log,
            clock=self._clock,
        )
        self._begin(spool, self._slot, crashed)
        logins = Logins(
            settings.auth,
            self._accounts.authenticator,
            self._tokens.verifier if self._tokens else None,
            log=self._log,
            later=SessionService.call_later,
            penalties=self._limits,
        )
        self._sessions = SessionService(
            settings=settings.session,
            listeners=settings.listeners,
            intake=intake,
            router=router,
            guard=self._guard.worker(self._row),
            limits=self._limits,
            pressure=self._pressure,
            log=self._log,
            clock=self._clock,
            slot=self._slot,
            expanded=self._expanded,
            verifier=self._outbound.verifier,
            quotas=self._quotas,
            certificates=self._certificates,
            logins=logins,
        )
        self._control = Control(
            settings.data_dir,
            self._slot,
            self._open_shards,
            RouteNames(lambda: router),
            certificates=self._fingerprints,
            limits=self._limits,
            log=self._log,
            clock=self._clock,
        )
        self._desk = make_mail_desk(settings, self._sessions.context, logins, self._clock, self._log.event)
        self._picker = make_picker(settings, self._sessions.context, self._clock, self._log.event)
        MetricService(self._metrics).register(self._control.server)
        SessionRequests(self._sessions).register(self._control.server)
        accounts.register(self._control.server, EmbeddedDesk(settings, self._accounts.names))
        self._pressure.start()

    def _fingerprints(self) -> list[str]:
        pairs = () if self._certificates is None else self._certificates.pairs()
        return [pair.facts.fingerprint for pair in pairs]

    def _open_shards(self) -> list[tuple[int, LmdbSpool, RemoteRunner | None]]:
        return [(number, held.spool, held.remote) for number, held in list(self._shards.items())]

    def _expanded(
        self, envelope: Envelope, aliases: Sequence[tuple[Recipient, Expansion]], start: bytes, size: int
    ) -> None:
        self._outbound.successes.expanded(envelope, aliases, Original(start, size))

    async def listen(self) -> None:
        """See `Services.listen`."""
        await self._control.start()

    def open(self) -> None:
        """See `Services.open`."""
        mail.register(self._control.server, self._desk)
        if self._picker is not None:
            self._picker.start()

    def factory(self, listener: Listener) -> ProtocolFactory:
        """See `Services.factory`."""
        return self._sessions.factory(listener.number)

    def adopt(self, shard: int, crashed: bool) -> None:
        """See `Services.adopt`."""
        if shard not in self._shards:
            self._begin(self._open_spool(shard), shard, crashed)

    def release(self, shard: int) -> None:
        """See `Services.release`."""
        self._close(shard)

    def _close(self, shard: int) -> bool:
        """Close a shard; whether nothing is in it for certain."""
        held = self._shards.pop(shard, None)
        if held is None:
            return False
        if held.remote is not None:
            asyncio.run_coroutine_threadsafe(held.remote.end(RELEASE_GRACE), self._loop).result()
            self._outbound.forget(held.spool.relay)
        held.runner.stop()
        try:
            empty = held.spool.is_empty()
            if empty:
                keep_spare(self._path(shard))  # while it is locked: somebody may wait to open it
            return empty
        except StorageError:
            return False
        finally:
            held.spool.stop()

    def remove(self, shard: int) -> None:
        """See `Services.remove`."""
        if self._close(shard) and remove_shard(self._path(shard)):
            self._log.event(f"spool shard {shard} is empty: removed")

    def renew(self, certificate: int, file: int) -> None:
        """See `Services.renew`."""
        renew(self._certificates, certificate, file, self._log.event)

    def sessions(self) -> int:
        """See `Services.sessions`."""
        return len(self._sessions.connections)

    def tick(self) -> list[int]:
        """See `Services.tick`."""
        self._sessions.tick()
        self._control.server.tick()
        self._accounts.tick()
        if self._tokens is not None:
            self._tokens.tick()
        self._reloader.tick()
        self._outbound.tick()
        waiting = {number: held.spool.messages() for number, held in list(self._shards.items())}
        self._pressure.tick(waiting)
        for shard in list(self._shards.values()):
            if shard.remote is not None:
                shard.remote.tick()
        self._tell()
        empty = {number for number, messages in waiting.items() if not messages and number != self._slot}
        told, self._emptied = self._emptied, empty
        return sorted(empty - told)

    def _tell(self) -> None:
        """The figures that are looked at, not counted."""
        shards = list(self._shards.values())
        pairs = () if self._certificates is None else self._certificates.pairs()
        self._gauges.tick(
            connections=len(self._sessions.connections),
            outbound=self._outbound.transport.active,
            spools=_loads(shards),
            short=self._pressure.short,
            expiry=min((pair.facts.ends for pair in pairs), default=0.0),
        )
        self._gauges.sites(
            state for shard in shards if shard.remote is not None for state in shard.remote.leading(MOST)
        )

    async def drain(self, grace: float) -> None:
        """See `Services.drain`."""
        self._log.meter.drain()
        await self._control.stop(min(grace, CONTROL_GRACE))
        if self._picker is not None:
            await self._picker.stop()
        runners = [shard.remote for shard in list(self._shards.values()) if shard.remote is not None]
        await asyncio.gather(self._sessions.drain(grace), *(runner.end(grace) for runner in runners))
        if self._tokens is not None:
            self._tokens.stop()
        await self._outbound.stop()

    def stop(self) -> None:
        """See `Services.stop`."""
        self._pressure.stop()
        for shard in list(self._shards):
            self.release(shard)
        self._accounts.stop()
        self._reloader.stop()
        self._quotas.stop()
        if self._ledger is not None:
            self._ledger.stop()

    def _open_accounts(self) -> Backend:
        settings = self._settings
        backend = make_backend(settings.accounts, settings.data_dir, self._loop, self._clock, self._log.event)
        try:
            backend.start()
        except AccountsError as error:
            raise StartError(str(error), os.EX_IOERR) from None
        self._source.names = backend.names
        return backend

    def _router(self) -> Router:
        """The router by what the files say now, which may be newer than the server's start; when that is of no use,
        by what they said then."""
        try:
            try:
                tables, srs = self._source.load()
            except SettingsError as error:
                self._log.event(f"routing is that of the server's start: {error.problems[0]}")
                tables, srs = self._source.fall_back()
        except SettingsError as error:
            raise StartError(error.problems[0]) from None
        router = Router(tables, self._clock, srs)
        pool = ThreadPool("routing", 1, 0, self._loop.call_soon_threadsafe)
        self._reloader = Reloader(router, self._source, pool, self._log.event)
        return router

    def _open_spool(self, number: int) -> LmdbSpool:
        settings = self._settings
        spool = LmdbSpool(
            self._path(number),
            slot=number,
            settings=settings.spool,
            durability=settings.durability,
            post=self._loop.call_soon_threadsafe,
            log=self._log,
            clock=self._clock,
        )
        try:
            spool.start()
        except SpoolTaken as error:
            raise ShardTaken(str(error)) from None
        except SpoolError as error:
            code = os.EX_TEMPFAIL if isinstance(error, SpoolFull) else os.EX_IOERR
            raise StartError(str(error), code) from None
        try:
            take_spare(self._path(number))
        except OSError as error:
            spool.stop()
            raise StartError(f"{error.filename}: {error.strerror}", os.EX_IOERR) from None
        return spool

    def _begin(self, spool: LmdbSpool, number: int, crashed: bool) -> None:
        """Deliver from ``spool``, which is closed when that cannot be."""
        path = self._path(number)
        try:
            runner = self._deliver(spool, number, crashed)
        except OSError as error:
            spool.stop()
            raise StartError(
                f"cannot deliver from {error.filename or path}: {error.strerror}", os.EX_IOERR
            ) from None
        except BaseException:
            spool.stop()
            raise
        remote = None
        if not self._settings.delivery.hold:
            remote = self._outbound.runner(spool.relay, number, path, self._under_way(spool, number, crashed))
            self._loop.call_soon_threadsafe(remote.start)
        self._shards[number] = _Shard(spool, runner, remote)

    def _under_way(self, spool: LmdbSpool, number: int, crashed: bool) -> Suspects:
        """What the last worker had under way to other hosts."""

        def hold(queue_id: str) -> None:
            spool.search.apply(Filter(ids=(queue_id,)), "hold", b"", lambda error, changed: None)

        return Suspects(self._remote_suspects.of(number), crashed=crashed, hold=hold, event=self._log.event)

    def _path(self, number: int) -> Path:
        return self._settings.data_dir / "spool" / str(number)

    def _deliver(self, spool: LmdbSpool, number: int, crashed: bool) -> LocalRunner:
        settings = self._settings
        mailboxes = MaildirTransport(
            settings.mailboxes, hostname=settings.hostname, log=self._log, clock=self._clock
        )
        runner = LocalRunner(
            spool,
            mailboxes,
            log=self._log,
            clock=self._clock,
            suspects=SuspectBoard(self._suspects.of(number)),
            hold=settings.delivery.hold,
            successes=self._outbound.successes.delivered,
        )
        runner.start(crashed=crashed)
        return runner
