"""A worker's control socket, and what is answered there."""

from collections.abc import Callable, Iterable
from pathlib import Path

from fastsmtp.clock import Clock
from fastsmtp.control.copying import CopyService
from fastsmtp.control.desk import Engine, SpoolDesk
from fastsmtp.control.limits import LimitService
from fastsmtp.control.place import socket_path
from fastsmtp.control.rows import Routes
from fastsmtp.control.server import ControlServer
from fastsmtp.control.service import QueueService
from fastsmtp.limits.counter import Counter
from fastsmtp.limits.standing import LimitDesk
from fastsmtp.spool.lmdb import LmdbSpool
from fastsmtp.telemetry.maillog import MailLog

Shards = Callable[[], Iterable[tuple[int, LmdbSpool, Engine | None]]]
"""The shards that are open: number, spool, and who delivers to other hosts from it."""


class Control:
    """``certificates`` gives the fingerprints of those in use, in the order of the settings."""

    def __init__(
        self,
        data_dir: Path,
        slot: int,
        shards: Shards,
        routes: Routes,
        *,
        certificates: Callable[[], list[str]],
        limits: Counter,
        log: MailLog,
        clock: Clock,
    ) -> None:
        self._path = socket_path(data_dir, slot)
        self._shards = shards
        self._routes = routes
        self._event, self._changed = log.event, log.changed
        self._clock = clock
        self.server = ControlServer(self._path, log.event)
        """Where others may register what they answer, before `start`."""
        self._certificates = certificates
        QueueService(self._desks).register(self.server)
        CopyService(self._path.parent, self._copied).register(self.server)
        LimitService(LimitDesk(limits)).register(self.server)
        self.server.register("tls.loaded", type(None), self._loaded)

    async def start(self) -> None:
        """Listen. Where that cannot be, mail goes on all the same."""
        try:
            await self.server.start()
        except OSError as error:
            self._event(
                f"cannot listen at {self._path}: {error.strerror}; `fastsmtp queue` cannot ask this worker"
            )

    async def stop(self, grace: float = 0.0) -> None:
        """Nobody is answered any more; see `ControlServer.stop`."""
        await self.server.stop(grace)

    async def _loaded(self, argument: None) -> list[str]:
        return self._certificates()

    def _copied(self) -> dict[int, LmdbSpool]:
        return {number: spool for number, spool, _ in self._shards()}

    def _desks(self) -> dict[int, SpoolDesk]:
        return {
            number: SpoolDesk(spool, self._clock, self._routes, engine, self._changed)
            for number, spool, engine in self._shards()
        }
