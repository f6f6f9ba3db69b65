"""A worker's life: it accepts, delivers from shards of the spool, obeys the master, drains.

What it serves is behind `Services`, which app.py builds; this file knows processes and no mail.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from fastsmtp.clock import Clock
from fastsmtp.process import messages
from fastsmtp.process.child import Child
from fastsmtp.process.errors import ShardTaken, StartError
from fastsmtp.process.messages import Birth, Message
from fastsmtp.process.shared import Heartbeats
from fastsmtp.process.sockets import Listener, close_all
from fastsmtp.telemetry.maillog import MailLog

ProtocolFactory = Callable[[], asyncio.BaseProtocol]


class Services(Protocol):
    """What a worker serves. All methods but those named otherwise are called on the loop's thread."""

    def start(self, crashed: bool) -> None:
        """Open the spool and begin to deliver; ``crashed``: the last worker of this slot ended by a crash.
        May block. Raises `StartError`."""

    async def listen(self) -> None:
        """Answer who asks about the worker; it is ready only then. It has no mail of its own before `open`."""

    def open(self) -> None:
        """Take mail from now on, also such as comes by no listener."""

    def factory(self, listener: Listener) -> ProtocolFactory:
        """Makes the protocol of one connection of ``listener``."""

    def adopt(self, shard: int, crashed: bool) -> None:
        """Open a shard that was another's and deliver from it. In a thread, may block. Raises `StartError`, and
        `ShardTaken` when another process has it."""

    def release(self, shard: int) -> None:
        """Close an adopted shard. In a thread, may block; does nothing when it is not open."""

    def remove(self, shard: int) -> None:
        """Close an adopted shard, and remove it if nothing is in it. In a thread, may block."""

    def renew(self, certificate: int, file: int) -> None:
        """Use the certificate in the open ``file``, which is closed, for new sessions in place of that of this
        number."""

    def tick(self) -> Sequence[int]:
        """A second has passed. Returns adopted shards that nothing is left in, each once."""

    def sessions(self) -> int:
        """How many sessions there are."""

    async def drain(self, grace: float) -> None:
        """End the sessions; those in mid-transaction get ``grace`` seconds."""

    def stop(self) -> None:
        """Stop delivering and close every shard. In a thread, may block."""


Builder = Callable[[Birth, asyncio.AbstractEventLoop, MailLog], Services]
"""Makes the services of a worker in it."""


class Worker(Child):
    """Everything of one worker but its services."""

    def __init__(
        self,
        birth: Birth,
        *,
        build: Builder,
        listeners: Sequence[Listener],
        backlog: int,
        beats: Heartbeats,
        grace: float,
        clock: Clock,
        log: MailLog,
    ) -> None:
        super().__init__(birth, log=log, beats=beats, grace=grace, clock=clock)
        self._build = build
        self._listeners = listeners
        self._backlog = backlog
        self._servers: dict[int, list[asyncio.AbstractServer]] = {}
        self._last_at: float | None = None
        """When a worker that drains ends though there are sessions."""

    async def prepare(self, loop: asyncio.AbstractEventLoop) -> None:
        """See `Child.prepare`."""
        self._services = self._build(self._birth, loop, self._log)
        self._services.start(self._birth.crashed)

    async def serve(self) -> None:
        """See `Child.serve`."""
        await self._services.listen()
        if not self._birth.waits:
            await self._open()

    def tick(self) -> None:
        """See `Child.tick`."""
        for shard in self._services.tick():
            self.tell(Message(messages.EMPTIED, shard))
        self._end_with_sessions()

    async def drain(self, grace: float) -> None:
        """See `Child.drain`."""
        # Where nobody else accepts, let clients be refused and go elsewhere instead of waiting.
        self._close_all()
        await self._services.drain(grace)

    async def stop(self) -> None:
        """See `Child.stop`."""
        await asyncio.to_thread(self._services.stop)

    # --- accepting ----------------------------------------------------------------------------

    async def _open(self) -> None:
        self._services.open()
        await self._accept(self._birth.place)

    async def _accept(self, index: int) -> None:
        if index in self._servers:
            return
        loop = asyncio.get_running_loop()
        servers = self._servers[index] = []
        for listener in self._listeners:
            for sock in listener.of(index):
                # A server closes its socket at its end; the copy leaves ours open for the next one.
                servers.append(
                    await loop.create_server(
                        self._services.factory(listener), sock=sock.dup(), backlog=self._backlog
                    )
                )

    def _close(self, index: int) -> None:
        for server in self._servers.pop(index, []):
            server.close()

    def _close_all(self) -> None:
        for index in list(self._servers):
            self._close(index)
        for listener in self._listeners:
            close_all(listener.sockets)

    async def _empty(self, listener: Listener) -> None:
        """Nobody takes the sockets of ``listener`` over: what is in their queues is accepted before they close."""
        loop = asyncio.get_running_loop()
        for sock in listener.of(self._birth.place):
            with suppress(OSError):
                while True:
                    client, _ = sock.accept()
                    client.setblocking(False)
                    await loop.connect_accepted_socket(self._services.factory(listener), client)

    def _end_with_sessions(self) -> None:
        if self._last_at is not None and (
            not self._services.sessions() or self._clock.monotonic() >= self._last_at
        ):
            self._end.set()

    # --- the master's orders ------------------------------------------------------------------

    async def obey(self, order: Message) -> None:
        """See `Child.obey`."""
        services, number = self._services, order.number
        if order.verb == messages.ACCEPT:
            await self._open()
        elif order.verb == messages.WATCH:
            await self._accept(number)
        elif order.verb == messages.UNWATCH:
            self._close(number)
        elif order.verb == messages.ADOPT:
            await self._adopt(number, order.crashed)
        elif order.verb in (messages.RELEASE, messages.REMOVE):
            act = services.release if order.verb == messages.RELEASE else services.remove
            await asyncio.to_thread(act, number)
            self.tell(Message(messages.RELEASED, number))
        elif order.verb == messages.CERTIFICATE:
            services.renew(number, order.file)
        elif order.verb == messages.CLOSE:
            await self._empty(self._listeners[number])
        elif order.verb == messages.DRAIN:
            self._close_all()
            self._log.meter.drain()
            self._last_at = self._clock.monotonic() + number
            self._end_with_sessions()

    async def _adopt(self, shard: int, crashed: bool) -> None:
        try:
            await asyncio.to_thread(self._services.adopt, shard, crashed)
        except ShardTaken:
            # Its owner is about to end: the master has it tried again.
            self.tell(Message(messages.REFUSED, shard))
        except StartError as error:
            self._log.event(f"cannot adopt spool shard {shard}: {error}")
        else:
            self.tell(Message(messages.ADOPTED, shard))
