"""What a worker serves: sessions that take mail in, and shards of the spool that are delivered from.

Its own shard takes mail in and is delivered from; an adopted one is only delivered from.
"""

import asyncio
import os
from collections.abc import Mapping
from typing import NamedTuple

from fastsmtp.clock import Clock
from fastsmtp.config.errors import SettingsError
from fastsmtp.intake.intake import Intake
from fastsmtp.limits.guard import ConnectionGuard
from fastsmtp.process.errors import StartError
from fastsmtp.process.routing import SettingsSource
from fastsmtp.process.settings import Settings
from fastsmtp.process.sockets import Listener
from fastsmtp.process.worker import ProtocolFactory
from fastsmtp.queue.local import LocalRunner
from fastsmtp.routing.reload import Reloader
from fastsmtp.routing.router import Router
from fastsmtp.session.service import SessionService
from fastsmtp.spool.base import SpoolError, SpoolFull
from fastsmtp.spool.lmdb import LmdbSpool
from fastsmtp.spool.suspects import SuspectBoard
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.transport.maildir import MaildirTransport


class _Shard(NamedTuple):
    """An open shard of the spool and who delivers from it."""

    spool: LmdbSpool
    runner: LocalRunner


class MailServices:
    """The `Services` of one worker; see there."""

    def __init__(
        self,
        slot: int,
        loop: asyncio.AbstractEventLoop,
        log: MailLog,
        *,
        settings: Settings,
        source: SettingsSource,
        guard: ConnectionGuard,
        suspects: Mapping[int, memoryview],
        clock: Clock,
    ) -> None:
        self._slot = slot
        self._loop = loop
        self._log = log
        self._settings = settings
        self._source = source
        self._guard = guard
        self._suspects = suspects
        self._clock = clock
        self._shards: dict[int, _Shard] = {}
        self._sessions: SessionService
        self._reloader: Reloader

    def start(self, crashed: bool) -> None:
        """See `Services.start`."""
        settings = self._settings
        router = self._router()
        shard = self._open(self._slot, crashed)
        self._sessions = SessionService(
            settings=settings.session,
            intake=Intake(
                shard.spool, hostname=settings.hostname, clock=self._clock, hops=settings.limits.hops
            ),
            router=router,
            guard=self._guard.worker(self._slot),
            log=self._log,
            clock=self._clock,
        )

    def factory(self, listener: Listener) -> ProtocolFactory:
        """See `Services.factory`."""
        return self._sessions.factory

    def adopt(self, shard: int, crashed: bool) -> None:
        """See `Services.adopt`."""
        if shard not in self._shards:
            self._open(shard, crashed)

    def release(self, shard: int) -> None:
        """See `Services.release`."""
        held = self._shards.pop(shard, None)
        if held is not None:
            held.runner.stop()
            held.spool.stop()

    def tick(self) -> None:
        """See `Services.tick`."""
        self._sessions.tick()
        self._reloader.tick()

    async def drain(self, grace: float) -> None:
        """See `Services.drain`."""
        await self._sessions.drain(grace)

    def stop(self) -> None:
        """See `Services.stop`."""
        for shard in list(self._shards):
            self.release(shard)

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
        self._reloader = Reloader(router, self._source, self._log.event)
        return router

    def _open(self, number: int, crashed: bool) -> _Shard:
        settings = self._settings
        path = settings.data_dir / "spool" / str(number)
        spool = LmdbSpool(
            path,
            slot=number,
            settings=settings.spool,
            durability=settings.durability,
            post=self._loop.call_soon_threadsafe,
            log=self._log,
            clock=self._clock,
        )
        try:
            spool.start()
        except SpoolError as error:
            code = os.EX_TEMPFAIL if isinstance(error, SpoolFull) else os.EX_IOERR
            raise StartError(str(error), code) from None
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
        shard = self._shards[number] = _Shard(spool, runner)
        return shard

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
            suspects=SuspectBoard(self._suspects[number]),
            hold=settings.delivery.hold,
        )
        runner.start(crashed=crashed)
        return runner
