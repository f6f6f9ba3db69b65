"""One sending process: an event loop, its share of the sessions, one read buffer for all of them."""

import asyncio
import gc
import math
import os
import signal
import time
from collections.abc import Callable

import uvloop

from fastsmtp.loadgen import sizes
from fastsmtp.loadgen.client_tls import TlsClient
from fastsmtp.loadgen.plan import Plan
from fastsmtp.loadgen.schedule import ClosedLoop
from fastsmtp.loadgen.secured import SecuredSession
from fastsmtp.loadgen.session import Session
from fastsmtp.loadgen.tally import Tally

_BUFFER = 64 * 1024
_PROGRESS = 0.2
_ATTEMPTS = 20
_monotonic = time.monotonic


class Letters:
    """Makes the commands and bodies of message after message."""

    def __init__(self, plan: Plan, index: int) -> None:
        self._index = index
        self._processes = plan.processes
        self._users = plan.users
        frame = sizes.as_chunk if plan.chunking else sizes.as_data
        bodies = {share.size: frame(sizes.message(share.size)) for share in plan.mix}
        self._cycle = [(size, bodies[size]) for size in sizes.cycle(plan.mix, index)]
        self._mail = f"MAIL FROM:<{plan.sender}>\r\n".encode()
        line = f"RCPT TO:<{plan.recipient}>\r\n"
        self._rcpts = tuple(line.replace("{r}", str(r)).encode() for r in range(plan.recipients))
        self._numbered = b"{n}" in self._mail or any(b"{n}" in rcpt for rcpt in self._rcpts)

    def make(self, number: int) -> tuple[bytes, tuple[bytes, ...], int, bytes]:
        """MAIL, the RCPTs, the size in octets and the body of this process's message ``number``."""
        size, body = self._cycle[number % len(self._cycle)]
        mail, rcpts = self._mail, self._rcpts
        if self._numbered:
            whole = number * self._processes + self._index
            digits = b"%d" % (whole % self._users if self._users else whole)
            mail = mail.replace(b"{n}", digits)
            rcpts = tuple([rcpt.replace(b"{n}", digits) for rcpt in rcpts])
        return mail, rcpts, size, body


class Sender:
    """Keeps the sessions of one process busy as the schedule says, and counts."""

    def __init__(self, plan: Plan, index: int, tell: Callable[[Tally], None]) -> None:
        self.plan = plan
        self.hello = plan.hello.encode()
        self.buffer = bytearray(_BUFFER)
        self.tally = Tally()
        self._limit = plan.sessions_of(index)
        self._schedule = plan.schedule_of(index)
        self._letters = Letters(plan, index)
        self._tls = TlsClient(resume=plan.resume) if plan.tls else None
        self._tell = tell
        self._number = 0
        self._sessions: set[Session] = set()
        self._parked: list[Session] = []
        self._refused_in_row = 0
        self._start = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def run(self, start: float) -> None:
        """Sends until the schedule has ended; ``start`` is a monotonic time, the same for all processes."""
        gc.freeze()
        gc.set_threshold(50_000)
        uvloop.run(self._run(start))

    async def _run(self, start: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._done = self._loop.create_future()
        self._loop.add_signal_handler(signal.SIGTERM, self.stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        await asyncio.sleep(max(0.0, start - _monotonic()))
        self._start = start
        self._schedule.begin(start)
        self._loop.call_later(_PROGRESS, self._progress)
        self._loop.call_later(1.0, self._sweep)
        self.fill()
        await self._done
        self.tally.missed = self._schedule.missed()

    def stop(self) -> None:
        """No further message; the second time, end at once."""
        if isinstance(self._schedule, ClosedLoop) and self._schedule.due(-math.inf) is None:
            for session in list(self._sessions):
                self._drop(session)
        self._schedule = ClosedLoop(0, None)
        self.fill()

    # --- asked by sessions ------------------------------------------------------------------------

    def letter(self) -> tuple[bytes, tuple[bytes, ...], int, bytes]:
        """The next message."""
        number = self._number
        self._number = number + 1
        return self._letters.make(number)

    def connected(self) -> None:
        """A connection stands."""
        self.tally.connections += 1
        self._refused_in_row = 0

    def secured(self, how: str) -> None:
        """A handshake is over; ``how`` says version, cipher, and whether a session was resumed."""
        self.tally.tls[how] = self.tally.tls.get(how, 0) + 1

    def accepted(self, intended: float, octets: int) -> None:
        """A message was accepted just now."""
        now = _monotonic()
        self.tally.accepted(now - intended, octets, now - self._start)

    def note(self, refusals: list[tuple[str, bytes]]) -> None:
        """Counts replies that were not the hoped-for ones, and forgets them."""
        for stage, line in refusals:
            self.tally.error(f"{stage}: {line.decode('utf-8', 'backslashreplace')}")
        refusals.clear()

    def free(self, session: Session) -> None:
        """A session is between messages: the next one, a goodbye, or a pause until one is due."""
        if self.plan.kept:
            now = _monotonic()
            intended = self._schedule.take(now)
            if intended is not None:
                session.begin(intended, now)
                return
            if self._schedule.due(now) is not None:
                self._parked.append(session)
                self.fill()
                return
        session.write(session.client.quit())
        session.began = _monotonic()

    def ended(self, session: Session) -> None:
        """A session's connection is gone."""
        if session.intended is not None:
            self.tally.failed += 1
        self._sessions.discard(session)
        if session in self._parked:
            self._parked.remove(session)
        self.fill()

    # --- the schedule -----------------------------------------------------------------------------

    def fill(self) -> None:
        """Begins what may begin now; ends the run when nothing is left to begin or to wait for."""
        now = _monotonic()
        while self._parked or len(self._sessions) < self._limit:
            intended = self._schedule.take(now)
            if intended is None:
                break
            if self._parked:
                self._parked.pop().begin(intended, now)
            else:
                self._open(self._session(intended, now))
        due = self._schedule.due(now)
        if due is None:
            while self._parked:
                session = self._parked.pop()
                session.write(session.client.quit())
            if not self._sessions and not self._done.done():
                self._done.set_result(None)
        elif due > now and self._timer is None:
            self._timer = self._loop.call_later(due - now, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.fill()

    def _session(self, intended: float, now: float) -> Session:
        if self._tls is None:
            return Session(self, intended, now)
        return SecuredSession(self, intended, now, self._tls)

    def _open(self, session: Session) -> None:
        self._sessions.add(session)
        session.task = self._loop.create_task(self._connect(session))

    async def _connect(self, session: Session) -> None:
        target = self.plan.target
        try:
            await self._loop.create_connection(lambda: session, target.host, target.port)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            self.tally.error(f"connect: {reason}")
            self._refused_in_row += 1
            if not self.tally.connections and self._refused_in_row >= _ATTEMPTS:
                self._schedule = ClosedLoop(0, None)
            # a server that is down is asked less and less often, up to every half second
            await asyncio.sleep(min(0.01 * self._refused_in_row, 0.5) if self._refused_in_row > 1 else 0)
            self.ended(session)
        except asyncio.CancelledError:
            self.ended(session)

    def _progress(self) -> None:
        self._tell(self.tally)
        self._loop.call_later(_PROGRESS, self._progress)

    def _sweep(self) -> None:
        """Drops sessions whose message, or whose goodbye, takes too long."""
        latest = _monotonic() - self.plan.timeout
        for session in [session for session in self._sessions if session.began < latest]:
            if session not in self._parked:
                self.tally.error(f"{session.stage}: no answer within {self.plan.timeout:g} s")
                self._drop(session)
        self._loop.call_later(1.0, self._sweep)

    def _drop(self, session: Session) -> None:
        session.overdue = True
        if session.transport is not None:
            session.transport.abort()
        elif session.task is not None:
            session.task.cancel()
