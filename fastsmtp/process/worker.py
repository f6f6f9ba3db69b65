"""A worker's life: loop, sockets, control channel, one tick a second, drain, end.

What it serves is behind `Services`, which app.py builds; this file knows processes and no mail.
"""

import asyncio
import faulthandler
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from fastsmtp.clock import Clock
from fastsmtp.process import messages
from fastsmtp.process.errors import StartError
from fastsmtp.process.messages import Birth, Message
from fastsmtp.process.privileges import Identity, confine, end_with_parent
from fastsmtp.process.shared import Heartbeats
from fastsmtp.process.sockets import Listener, close_all
from fastsmtp.telemetry.maillog import MailLog

try:
    import uvloop as _loops
except ImportError:  # a Python that uvloop does not support
    import asyncio as _loops  # type: ignore[no-redef]

LOOP = _loops.__name__
"""Whose event loop the workers run."""

TICK = 1.0
"""Seconds between two ticks."""

ORPHAN_GRACE = 2.0
"""Seconds that sessions get to finish when the master is gone."""

ProtocolFactory = Callable[[], asyncio.BaseProtocol]


class Services(Protocol):
    """What a worker serves. All methods but those named otherwise are called on the loop's thread."""

    def start(self, crashed: bool) -> None:
        """Open the spool and begin to deliver; ``crashed``: the last worker of this slot ended by a crash.
        May block. Raises `StartError`."""

    async def listen(self) -> None:
        """Answer who asks about the worker; it is ready only then."""

    def factory(self, listener: Listener) -> ProtocolFactory:
        """Makes the protocol of one connection of ``listener``."""

    def adopt(self, shard: int, crashed: bool) -> None:
        """Open another slot's shard and deliver from it. In a thread, may block. Raises `StartError`."""

    def release(self, shard: int) -> None:
        """Close an adopted shard. In a thread, may block; does nothing when it is not open."""

    def renew(self, certificate: int, file: int) -> None:
        """Use the certificate in the open ``file``, which is closed, for new sessions in place of that of this
        number."""

    def tick(self) -> None:
        """A second has passed."""

    async def drain(self, grace: float) -> None:
        """End the sessions; those in mid-transaction get ``grace`` seconds."""

    def stop(self) -> None:
        """Stop delivering and close every shard. In a thread, may block."""


Builder = Callable[[int, asyncio.AbstractEventLoop, MailLog], Services]
"""Makes the services of a slot in its worker."""


class Worker:
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
        self._birth = birth
        self._build = build
        self._listeners = listeners
        self._backlog = backlog
        self._beats = beats
        self._grace = grace
        self._clock = clock
        self._log = log
        self._servers: dict[int, list[asyncio.AbstractServer]] = {}
        self._orders: asyncio.Queue[Message | None] = asyncio.Queue()
        self._end = asyncio.Event()
        self._code = os.EX_OK

    def run(self, identity: Identity | None) -> int:
        """Become ``identity``, serve until told to stop; returns the exit code."""
        try:
            confine(identity)
            if not end_with_parent(self._birth.master):
                return os.EX_OK
            faulthandler.enable(2)
            sys.unraisablehook = self._on_unraisable
            loop = _loops.new_event_loop()
            asyncio.set_event_loop(loop)
            return loop.run_until_complete(self._main(loop))
        except StartError as error:
            self._log.event(f"cannot start: {error}")
            return error.code
        finally:
            self._log.finish()

    async def _main(self, loop: asyncio.AbstractEventLoop) -> int:
        loop.set_exception_handler(self._on_fault)
        loop.add_signal_handler(signal.SIGTERM, self._end.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
        loop.add_reader(self._birth.channel, self._on_channel)
        self._log.run_on(loop)
        services = self._build(self._birth.slot, loop, self._log)
        services.start(self._birth.crashed)
        helpers: list[asyncio.Task[None]] = []
        try:
            await services.listen()
            await self._accept(loop, services, self._birth.slot)
            for helper in (self._tick(services), self._obey(loop, services)):
                task = loop.create_task(helper)
                task.add_done_callback(self._helper_ended)
                helpers.append(task)
            self._tell(Message(messages.READY))
            await self._end.wait()
            for slot in list(self._servers):
                self._close(slot)
            for listener in self._listeners:
                # Nobody will accept any more: let clients be refused and go elsewhere instead of waiting.
                close_all(listener.sockets)
            orphaned = os.getppid() != self._birth.master
            await services.drain(min(self._grace, ORPHAN_GRACE) if orphaned else self._grace)
        finally:
            for task in helpers:
                task.remove_done_callback(self._helper_ended)
            self._orders.put_nowait(None)
            if helpers:
                # A shard that is just being opened is closed with the others, not cut off.
                await asyncio.wait(helpers[-1:])
            await asyncio.to_thread(services.stop)
            for task in helpers:
                task.cancel()
        return self._code

    def _helper_ended(self, task: asyncio.Task[None]) -> None:
        """A helper ends only by a fault of ours: better a new worker than one without it."""
        if not task.cancelled():
            self._code = os.EX_SOFTWARE
            self._end.set()
            task.result()  # raises into the loop's handler, which shows the traceback

    def _on_fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What nobody caught goes into the log, which does not wait for its reader as standard error does."""
        self._log.event(context["message"])
        for part in traceback.format_exception(context.get("exception")):
            for line in part.splitlines():
                self._log.event(line)

    def _on_unraisable(self, what: "sys.UnraisableHookArgs") -> None:
        """One line for what Python cannot raise, such as for a name in a TLS handshake that is not ASCII: by default
        a traceback goes to standard error, which strangers could fill."""
        self._log.event(f"ignored: {what.exc_value!r}")

    # --- accepting ----------------------------------------------------------------------------

    async def _accept(self, loop: asyncio.AbstractEventLoop, services: Services, slot: int) -> None:
        if slot in self._servers:
            return
        servers = self._servers[slot] = []
        for listener in self._listeners:
            sock = listener.of(slot)
            if sock is None:
                continue
            # A server closes its socket at its end; the copy leaves ours open for the next one.
            servers.append(
                await loop.create_server(services.factory(listener), sock=sock.dup(), backlog=self._backlog)
            )

    def _close(self, slot: int) -> None:
        for server in self._servers.pop(slot, []):
            server.close()

    # --- the master's orders ------------------------------------------------------------------

    def _on_channel(self) -> None:
        try:
            order = messages.receive(self._birth.channel)
        except BlockingIOError:
            return
        if order is not None:
            self._orders.put_nowait(order)
            return
        asyncio.get_running_loop().remove_reader(self._birth.channel)
        self._log.event("the master is gone: ending")
        self._end.set()

    async def _obey(self, loop: asyncio.AbstractEventLoop, services: Services) -> None:
        """Carry out orders one after the other, until there is None."""
        while (order := await self._orders.get()) is not None:
            if self._end.is_set():
                continue
            if order.verb == messages.WATCH:
                await self._accept(loop, services, order.slot)
            elif order.verb == messages.UNWATCH:
                self._close(order.slot)
            elif order.verb == messages.ADOPT:
                try:
                    await asyncio.to_thread(services.adopt, order.slot, order.crashed)
                except StartError as error:
                    self._log.event(f"cannot adopt spool shard {order.slot}: {error}")
                else:
                    self._tell(Message(messages.ADOPTED, order.slot))
            elif order.verb == messages.RELEASE:
                await asyncio.to_thread(services.release, order.slot)
                self._tell(Message(messages.RELEASED, order.slot))
            elif order.verb == messages.CERTIFICATE:
                services.renew(order.slot, order.file)
            elif order.verb == messages.LOG:
                self._log.reopened(order.file)

    def _tell(self, message: Message) -> None:
        try:
            self._birth.channel.send(message.encode())
        except OSError:
            pass  # the master is gone, which the channel's end of file says

    # --- time ---------------------------------------------------------------------------------

    async def _tick(self, services: Services) -> None:
        while True:
            self._beats.beat(self._birth.slot, self._clock.monotonic())
            services.tick()
            await asyncio.sleep(TICK)
