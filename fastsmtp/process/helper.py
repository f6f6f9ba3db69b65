"""A process beside the workers, of which there is one of each role in a generation: such as the one that speaks HTTP.

It has the rights of a worker and its own listening sockets, and no shard of the spool. When it dies it is started
again, and mail goes on meanwhile. It ends when its generation is followed by another, whose helper has the same
sockets.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from fastsmtp.clock import Clock
from fastsmtp.config.values import Endpoint
from fastsmtp.process import messages
from fastsmtp.process.child import Child
from fastsmtp.process.messages import Birth, Message
from fastsmtp.process.shared import Heartbeats
from fastsmtp.telemetry.maillog import MailLog


class HelperServices(Protocol):
    """What a helper does. All methods are called on the loop's thread."""

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Begin to accept from ``sockets``, which listen already and are not blocking: one for each address of the
        role, in its order. Where the helper of another generation drains, both accept from them: close them only by
        the server's own end. Raises `StartError`, and has nothing left to be stopped then."""

    def renew(self, certificate: int, file: int) -> None:
        """See `fastsmtp.process.worker.Services.renew`."""

    def tick(self) -> None:
        """A second has passed. Must not block."""

    async def drain(self, grace: float) -> None:
        """Accept no more; requests under way have ``grace`` seconds to end."""

    async def stop(self) -> None:
        """The last thing that is done after `start`; `drain` may not have been called."""


class Role(NamedTuple):
    """A helper: its ``name`` in the log and in `fastsmtp status`, the addresses that the master binds for it before
    rights are dropped, and what makes its services in the new process."""

    name: str
    endpoints: tuple[Endpoint, ...]
    build: Callable[[asyncio.AbstractEventLoop, MailLog], HelperServices]


class Helper(Child):
    """The process of a ``role``; ``sockets`` are those of its addresses."""

    def __init__(
        self,
        birth: Birth,
        role: Role,
        sockets: Sequence[socket.socket],
        *,
        beats: Heartbeats,
        grace: float,
        clock: Clock,
        log: MailLog,
    ) -> None:
        super().__init__(birth, log=log, beats=beats, grace=grace, clock=clock)
        self._role = role
        self._sockets = sockets

    async def prepare(self, loop: asyncio.AbstractEventLoop) -> None:
        """See `Child.prepare`."""
        self._services = self._role.build(loop, self._log)
        await self._services.start([sock.dup() for sock in self._sockets])

    async def serve(self) -> None:
        """See `Child.serve`: it does so once it is ready, whether or not workers wait."""

    async def obey(self, order: Message) -> None:
        """See `Child.obey`."""
        if order.verb == messages.CERTIFICATE:
            self._services.renew(order.number, order.file)

    def tick(self) -> None:
        """See `Child.tick`."""
        self._services.tick()

    async def drain(self, grace: float) -> None:
        """See `Child.drain`."""
        for sock in self._sockets:
            sock.close()
        await self._services.drain(grace)

    async def stop(self) -> None:
        """See `Child.stop`."""
        await self._services.stop()
