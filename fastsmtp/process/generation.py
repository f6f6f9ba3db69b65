"""Makes the generations of a server, from settings to processes. What one worker consists of: services.py."""

import asyncio
import functools
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from fastsmtp.clock import Clock
from fastsmtp.config.errors import SettingsError
from fastsmtp.config.signature import Signature, signature
from fastsmtp.control.master import master_path
from fastsmtp.limits.settings import LimitSettings
from fastsmtp.process.banner import banner
from fastsmtp.process.child import LOOP, Child
from fastsmtp.process.credentials import Credentials
from fastsmtp.process.crew import Generation
from fastsmtp.process.difference import differences
from fastsmtp.process.door import Door
from fastsmtp.process.errors import StartError
from fastsmtp.process.helper import Helper, HelperServices, Role
from fastsmtp.process.heritage import Heritage, heritage_of
from fastsmtp.process.lock import sign_lock, signer_runs
from fastsmtp.process.maildrop import make_maildrop
from fastsmtp.process.maker import NotYet, Refusal
from fastsmtp.process.messages import Birth, Renewal
from fastsmtp.process.privileges import Identity, acting_as, make_directory, raise_file_limit
from fastsmtp.process.routing import SettingsSource
from fastsmtp.process.services import MailServices
from fastsmtp.process.settings import Settings, load_settings, mailbox_root
from fastsmtp.process.shards import existing_shards, fresh_shards, new_shards
from fastsmtp.process.sockets import Listener, SocketPool, Wanted, vanished
from fastsmtp.process.supervisor import Supervisor
from fastsmtp.process.tables import SharedTables
from fastsmtp.process.worker import Worker
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.telemetry.meter import Meter
from fastsmtp.telemetry.metrics_table import MetricTable
from fastsmtp.telemetry.place import LogPlace
from fastsmtp.threads import collect_seldom
from fastsmtp.tls.settings import TlsSettings
from fastsmtp.tls.store import CertificateStore

if TYPE_CHECKING:
    from fastsmtp.process.keys import KeyKeeper

OWN_FILES = 200
"""Open files that a worker needs besides its connections and their bodies: listeners, spool, mailboxes."""

FIXED = ("data_dir", "user", "accept", "log")
"""Settings that no reload changes."""


class _Made(NamedTuple):
    """A generation and what it was made of. ``settings`` are as in the file."""

    generation: Generation
    settings: Settings
    keys: "KeyKeeper | None"
    listeners: tuple[Listener, ...]
    wanted: list[Wanted]


class GenerationMaker:
    """Of the server with ``settings``, which came from ``file`` and were as ``read`` says right before; a worker is
    ``identity``. ``secret`` is SRS's, ``backlog`` the listening sockets', ``lock`` holds `data_dir`. ``follows``: the
    generation of another master that these take over from, 0: none."""

    def __init__(
        self,
        settings: Settings,
        file: Path | None,
        read: Signature,
        *,
        identity: Identity | None,
        secret: bytes,
        pool: SocketPool,
        backlog: int,
        clock: Clock,
        log: MailLog,
        place: LogPlace,
        lock: int,
        metrics: MetricTable,
        follows: int = 0,
    ) -> None:
        self._settings = settings
        self._file = file
        self._read = read
        self._identity = identity
        self._secret = secret
        self._pool = pool
        self._backlog = backlog
        self._clock = clock
        self._log = log
        self._place = place
        self._files = raise_file_limit()
        self._spool = settings.data_dir / "spool"
        self._lock = lock
        self._follows = follows
        self._shunned: set[int] = set()
        """Shards that an upgrade has left which came to nothing: nothing is in them, and their form may be newer."""
        self._before: set[int] = set()
        """Those that were there when an upgrade began."""
        self._number = follows + 1
        """Of the next generation."""
        self._announced = False
        self._current: _Made
        self._next: _Made | None = None
        self.tables = SharedTables(settings, self._limits(settings), self._existing(), clock, metrics)
        log.meter = Meter(metrics.claim(), clock.monotonic)

    # --- see `Maker` ----------------------------------------------------------------------------

    def first(self) -> Generation:
        """See `Maker.first`. Raises `StartError`."""
        existing = self._existing()
        # One that follows takes nothing that another program could want back: an upgrade may come to nothing.
        count = self._settings.workers
        own = new_shards(count, existing) if self._follows else list(range(count))
        leftovers = [number for number in existing if number not in own]
        if leftovers and not self._follows:
            names = ", ".join(map(str, leftovers))
            self._log.event(f"spool shards {names} are of more workers than there are now: they are drained")
        self._current = self._make(self._settings, self._read, own, leftovers, waits=self._follows > 0)
        if os.geteuid() == 0 and self._settings.user is None:
            self._log.event(
                "WARNING: the server runs as root, which it never needs after binding; "
                "start it as an ordinary user, or set `user` in a settings file"
            )
        self._number += 1
        if not self._follows:
            self._pool.listen()
        return self._current.generation

    def take_over(self) -> None:
        """See `Maker.take_over`."""
        self._pool.listen()
        self._pool.keep(self._current.wanted)

    def claim(self) -> None:
        """See `Maker.claim`."""
        sign_lock(self._lock)

    def abandoned(self) -> bool:
        """See `Maker.abandoned`."""
        return not signer_runs(self._lock)

    def heritage(self, channel: int) -> Heritage:
        """See `Maker.heritage`."""
        self._before = set(self._existing())
        data_dir = str(self._settings.data_dir)
        return heritage_of(self._number - 1, data_dir, channel, self._lock, self._pool, self.tables.metrics)

    def shun(self) -> None:
        """See `Maker.shun`."""
        self._shunned |= set(self._existing()) - self._before

    def next(self, taken: set[int], orphans: set[int]) -> Generation:
        """See `Maker.next`."""
        read = None if self._file is None else signature(self._file)
        try:
            settings = load_settings(self._file) if self._file else self._settings
        except SettingsError as error:
            raise Refusal(error.problems) from None
        self._refuse_fixed(settings)
        try:
            existing = self._existing()
            taken = taken | self._shunned
            shards, wanted_back = fresh_shards(settings.workers, existing, taken, orphans)
            if wanted_back:
                raise NotYet(wanted_back)
            leftovers = sorted(set(existing) - taken - set(shards))
            self._next = self._make(settings, read, shards, leftovers, waits=True)
        except StartError as error:
            raise Refusal([str(error)]) from None
        return self._next.generation

    def begin(self) -> tuple[list[int], list[str]]:
        """See `Maker.begin`."""
        assert self._next is not None, "there is one that begins"
        old, new = self._current, self._next
        self._pool.listen()
        self._current, self._next = new, None
        self._number += 1
        gone = vanished(new.wanted, old.wanted)
        self._pool.keep(new.wanted)
        return gone, differences(old.settings, new.settings)

    def give_up(self) -> None:
        """See `Maker.give_up`."""
        self._next = None
        self._pool.take_back()

    def announce(self) -> None:
        """See `Maker.announce`."""
        if self._announced:
            return
        self._announced = True
        made = self._current
        listeners = made.listeners[: len(made.settings.listeners)]
        text = banner(made.settings, listeners, LOOP)
        try:
            os.write(1, text.encode("utf-8", "backslashreplace"))
        except OSError:
            pass  # that nobody reads it is no reason to stop

    def stop(self) -> list[int]:
        """See `Maker.stop`."""
        self._pool.close()
        return list(range(len(self._current.settings.listeners)))

    def open_door(self, make: Callable[[Path, int], Door]) -> None:
        """See `Maker.open_door`."""
        uid = os.geteuid() if self._identity is None else self._identity.uid
        with acting_as(self._identity):
            make(master_path(self._settings.data_dir), uid).open()

    def listeners(self) -> list[str]:
        """See `Maker.listeners`."""
        return [f"{one.endpoint} ({one.protocol})" for one in self._current.listeners]

    def sessions(self, row: int) -> int:
        """See `Maker.sessions`."""
        return self.tables.guard.total[row]

    def waiting(self, shard: int | None) -> int:
        """See `Maker.waiting`."""
        pressure = self.tables.pressure
        return pressure.total() if shard is None else pressure.waiting(shard)

    def ended(self, row: int, orderly: bool) -> None:
        """See `Maker.ended`."""
        self.tables.ended(row, orderly)
        if not orderly:
            self._log.meter.worker_exits.add()

    def renewals(self, at_once: bool) -> Sequence[Renewal]:
        """See `Maker.renewals`."""
        keys = self._current.keys
        return () if keys is None else keys.look(at_once=at_once)

    def reopen(self) -> int | None:
        """See `Maker.reopen`."""
        return self._place.reopen()

    # --- own ------------------------------------------------------------------------------------

    def _existing(self) -> list[int]:
        with acting_as(self._identity):
            return existing_shards(self._spool)

    def _refuse_fixed(self, settings: Settings) -> None:
        old = self._current.settings
        lines = [
            f"{key}: only a restart changes it"
            for key in FIXED
            if getattr(settings, key) != getattr(old, key)
        ]
        if settings.workers > self.tables.most_workers:
            lines.append(
                f"workers: a running server can have {self.tables.most_workers} at most; restart or upgrade for more"
            )
        if lines:
            raise Refusal(lines)

    def _make(
        self,
        settings: Settings,
        read: Signature,
        shards: Sequence[int],
        leftovers: Sequence[int],
        *,
        waits: bool,
    ) -> _Made:
        """A generation, its sockets bound. Raises `StartError`."""
        keys = key_keeper(settings.tls, self._clock, self._log)
        credentials = Credentials(settings)
        filled = credentials.fill(settings)
        limits = self._limits(settings, self._log)
        roles = roles_of(filled, None if keys is None else keys.store, self.tables.metrics, self._clock)
        wanted = wanted_of(settings, roles)
        listeners = self._pool.bind(wanted, settings.workers)
        make_directory(mailbox_root(settings), "mailboxes.path", self._identity)
        make_maildrop(settings, self._identity)
        self.tables.adapt(settings, limits)
        tables = self.tables
        services = functools.partial(
            MailServices,
            settings=msgspec.structs.replace(filled, limits=limits),
            source=SettingsSource(self._file, filled, self._secret, credentials, read),
            guard=tables.guard,
            limits=tables.limits,
            pressure=tables.pressure,
            sites=tables.sites,
            suspects=tables.suspects,
            remote_suspects=tables.remote_suspects,
            certificates=None if keys is None else keys.store,
            metrics=tables.metrics,
            clock=self._clock,
        )
        count = len(shards)
        mail = listeners[: len(settings.listeners)]

        def main(birth: Birth) -> int:
            self._pool.keep(wanted)
            child: Child
            if birth.place < count:
                child = Worker(
                    birth,
                    build=lambda birth, loop, log: services(birth.slot, loop, log, row=birth.row),
                    listeners=mail,
                    backlog=self._backlog,
                    beats=tables.beats,
                    grace=settings.shutdown_grace,
                    clock=self._clock,
                    log=self._place.log(self._clock, birth.slot),
                )
            else:
                role = roles[birth.place - count]
                child = Helper(
                    birth,
                    role,
                    _sockets_of(role, roles, listeners[len(mail) :]),
                    beats=tables.beats,
                    grace=settings.shutdown_grace,
                    clock=self._clock,
                    log=self._place.log(self._clock, None),
                )
            return child.run(self._identity)

        supervisor = Supervisor(
            shards,
            leftovers,
            grace=settings.shutdown_grace,
            watching=settings.accept == "reuseport",
            helpers=[role.name for role in roles],
            waits=waits,
        )
        collect_seldom()
        return _Made(
            Generation(self._number, supervisor, main, settings.drain_grace),
            settings,
            keys,
            listeners,
            wanted,
        )

    def _limits(self, settings: Settings, log: MailLog | None = None) -> LimitSettings:
        return fitting(settings.limits, self._files - outbound_files(settings, self._files), log)


def roles_of(
    settings: Settings, certificates: CertificateStore | None, metrics: MetricTable, clock: Clock
) -> tuple[Role, ...]:
    """The helpers of a server with ``settings``."""
    if settings.http.address is None and not settings.webhooks:
        return ()
    from fastsmtp.process import web  # with all of HTTP, which only who wants it loads

    endpoint = settings.http.endpoint

    def build(loop: asyncio.AbstractEventLoop, log: MailLog) -> HelperServices:
        return web.WebServices(settings, certificates, metrics, clock, log)

    return (Role(web.SOCKET, () if endpoint is None else (endpoint,), build),)


def wanted_of(settings: Settings, roles: Sequence[Role]) -> list[Wanted]:
    """The listeners of mail, and behind them those of the ``roles``."""
    shared = settings.accept == "shared"
    wanted = [Wanted(one.endpoint, one.protocol, shared) for one in settings.listeners]
    return wanted + [Wanted(endpoint, role.name, True) for role in roles for endpoint in role.endpoints]


def key_keeper(settings: TlsSettings, clock: Clock, log: MailLog) -> "KeyKeeper | None":
    """Who looks after the certificates, when there are any: only then is the library that reads them loaded. Raises
    `StartError`."""
    if not settings.certificates:
        return None
    from fastsmtp.process.keys import KeyKeeper

    return KeyKeeper(settings, clock, log.event)


def outbound_files(settings: Settings, files: int) -> int:
    """Open files of one worker that connections to other hosts may take: three for each that it may have to sites
    that work, at most a quarter of ``files``."""
    return min(3 * -(-settings.queue.connections // settings.workers), files // 4)


def fitting(limits: LimitSettings, files: int, log: MailLog | None) -> LimitSettings:
    """The limits with no more connections than a single worker could have to hold with ``files`` open, a
    quarter of which is kept for large bodies on their way: 421 is said where accepting would fail."""
    room = max(1, (files - OWN_FILES) * 3 // 4)
    if limits.connections <= room:
        return limits
    if log is not None:
        log.event(
            f"WARNING: limits.connections is {limits.connections}, but only {files} files may be open, "
            f"a quarter of them by large messages: {room} connections are allowed; "
            "raise the limit (LimitNOFILE of the unit, ulimit -n)"
        )
    return msgspec.structs.replace(limits, connections=room)


def _sockets_of(role: Role, roles: Sequence[Role], listeners: Sequence[Listener]) -> list[socket.socket]:
    before = sum(len(other.endpoints) for other in roles[: roles.index(role)])
    return [listener.sockets[0] for listener in listeners[before : before + len(role.endpoints)]]
