"""What all processes but the master have in common: loop, signals, control channel, one tick a second, end."""

import asyncio
import faulthandler
import os
import signal
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any

from fastsmtp.clock import Clock
from fastsmtp.process import messages
from fastsmtp.process.errors import StartError
from fastsmtp.process.messages import Birth, Message
from fastsmtp.process.privileges import Identity, confine, end_with_parent
from fastsmtp.process.shared import Heartbeats
from fastsmtp.telemetry.maillog import MailLog

try:
    import uvloop as _loops
except ImportError:  # a Python that uvloop does not support
    import asyncio as _loops  # type: ignore[no-redef]

LOOP = _loops.__name__
"""Whose event loop the processes run."""

TICK = 1.0
"""Seconds between two ticks."""

ORPHAN_GRACE = 2.0
"""Seconds that sessions get to finish when the master is gone."""


class Child(ABC):
    """A process that the master has forked. What it is for, its class says: see `prepare`, `serve`, `obey`, `tick`,
    `drain`, `stop`. ``grace`` is in seconds."""

    def __init__(self, birth: Birth, *, log: MailLog, beats: Heartbeats, grace: float, clock: Clock) -> None:
        self._birth = birth
        self._log = log
        self._beats = beats
        self._grace = grace
        self._clock = clock
        self._orders: asyncio.Queue[Message | None] = asyncio.Queue()
        self._end = asyncio.Event()
        self._code = os.EX_OK

    # --- what a process is for ----------------------------------------------------------------

    @abstractmethod
    async def prepare(self, loop: asyncio.AbstractEventLoop) -> None:
        """Get ready. Raises `StartError`, and has nothing left to be stopped then."""

    @abstractmethod
    async def serve(self) -> None:
        """Accept from now on."""

    @abstractmethod
    async def obey(self, order: Message) -> None:
        """Carry out an order of the master."""

    @abstractmethod
    def tick(self) -> None:
        """A second has passed."""

    @abstractmethod
    async def drain(self, grace: float) -> None:
        """Accept no more and bring what is under way to its end, in ``grace`` seconds at most."""

    @abstractmethod
    async def stop(self) -> None:
        """The last thing that is done after `prepare`; `drain` may not have been called."""

    # --- its life -----------------------------------------------------------------------------

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
            self.tell(Message(messages.FAILED, text=str(error)))
            return error.code
        finally:
            self._log.finish()

    async def _main(self, loop: asyncio.AbstractEventLoop) -> int:
        loop.set_exception_handler(self._on_fault)
        loop.add_signal_handler(signal.SIGTERM, self._end.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
        loop.add_reader(self._birth.channel, self._on_channel)
        self._log.run_on(loop)
        await self.prepare(loop)
        helpers: list[asyncio.Task[None]] = []
        try:
            await self.serve()
            helpers = [self._helper(loop, work) for work in (self._tick(), self._obey())]
            self.tell(Message(messages.READY))
            await self._end.wait()
            orphaned = os.getppid() != self._birth.master
            await self.drain(min(self._grace, ORPHAN_GRACE) if orphaned else self._grace)
        finally:
            for task in helpers:
                task.remove_done_callback(self._helper_ended)
            self._orders.put_nowait(None)
            if helpers:
                # An order in hand is carried out, not cut off: a shard that is just being opened is closed.
                await asyncio.wait(helpers[-1:])
            await self.stop()
            for task in helpers:
                task.cancel()
        return self._code

    def _helper(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = loop.create_task(work)
        task.add_done_callback(self._helper_ended)
        return task

    def _helper_ended(self, task: asyncio.Task[None]) -> None:
        """A helper ends only by a fault of ours: better a new process than one without it."""
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

    # --- the master ---------------------------------------------------------------------------

    def tell(self, message: Message) -> None:
        """Say something to the master."""
        try:
            self._birth.channel.send(message.encode())
        except OSError:
            pass  # the master is gone, which the channel's end of file says

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

    async def _obey(self) -> None:
        """Carry out orders one after the other, until there is None."""
        while (order := await self._orders.get()) is not None:
            if order.verb == messages.LOG:
                self._log.reopened(order.file)
            elif not self._end.is_set():
                await self.obey(order)

    # --- time ---------------------------------------------------------------------------------

    async def _tick(self) -> None:
        while True:
            self._beats.beat(self._birth.row, self._clock.monotonic())
            self.tick()
            await asyncio.sleep(TICK)
