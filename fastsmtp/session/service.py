"""All sessions of one worker: makes them, times them out, and brings them to an end."""

import asyncio
import functools
from collections.abc import Callable, Sequence

from fastsmtp.clock import Clock
from fastsmtp.intake.intake import Intake
from fastsmtp.limits.counter import Counter
from fastsmtp.limits.guard import WorkerGuard
from fastsmtp.limits.pressure import Pressure
from fastsmtp.mail.reply import SHUTTING_DOWN, Reply
from fastsmtp.routing.room import Quotas
from fastsmtp.routing.router import Router
from fastsmtp.session.auth import Logins
from fastsmtp.session.connection import Connection
from fastsmtp.session.listener import Listener
from fastsmtp.session.listener_settings import ListenerSettings
from fastsmtp.session.session import Context, Expanded, Verifier
from fastsmtp.session.settings import SessionSettings
from fastsmtp.telemetry.dialogue import Dialogues
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.tls.layer import CIPHER_BUFFER
from fastsmtp.tls.store import CertificateStore

READ_BUFFER = 256 * 1024
"""Octets of the one read buffer of a worker; also the most a client may have sent ahead unanswered."""


REFUSALS_TOLD = 20
"""Refused connections of one second that have a line of their own in the log."""


class SessionService:
    """One worker's sessions, of all its ``listeners``. All methods are called on the loop's thread.

    Without ``certificates`` there is no TLS, without ``logins`` nobody can log in.
    """

    def __init__(
        self,
        *,
        settings: SessionSettings,
        listeners: Sequence[ListenerSettings],
        intake: Intake,
        router: Router,
        guard: WorkerGuard,
        limits: Counter,
        pressure: Pressure,
        log: MailLog,
        clock: Clock,
        slot: int = 0,
        expanded: Expanded | None = None,
        verifier: Verifier | None = None,
        quotas: Quotas | None = None,
        certificates: CertificateStore | None = None,
        logins: Logins | None = None,
    ) -> None:
        self.context = Context(
            intake=intake,
            router=router,
            guard=guard,
            limits=limits,
            pressure=pressure,
            log=log,
            expanded=expanded,
            verifier=verifier,
            quotas=quotas,
        )
        self.listeners = [
            Listener(listener, settings, clock=clock, certificates=certificates, logins=logins)
            for listener in listeners
        ]
        self.banner_delay = settings.banner_delay
        self.buffer = bytearray(READ_BUFFER)
        self.cipher = bytearray(CIPHER_BUFFER)
        """What is read from connections under TLS, before it is `buffer`'s clear text."""
        self.connections: set[Connection] = set()
        self.dialogues = Dialogues(slot, clock.now)
        self.draining = False
        self._refused = 0
        self._clock = clock
        self._timeout = settings.limits.command_timeout
        self.second = int(clock.monotonic())
        """The clock of all time-outs, moved by `tick`."""

    def factory(self, number: int) -> Callable[[], Connection]:
        """Makes a protocol for each connection that the listener of this number accepts."""
        return functools.partial(Connection, self, self.listeners[number])

    @staticmethod
    def call_later(delay: float, call: Callable[[], object]) -> None:
        """Call ``call`` in ``delay`` seconds."""
        asyncio.get_running_loop().call_later(delay, call)

    def refused(self, ip: str, reply: Reply) -> None:
        """A connection gets no session; told, unless there are very many of them."""
        self._refused += 1
        if self._refused <= REFUSALS_TOLD:
            self.context.log.rejected(client=ip, stage="connect", sender=None, recipient=None, reply=reply)
        else:
            self.context.log.meter.rejected("connect", reply)

    def tls_failed(self, ip: str, why: str) -> None:
        """A session under TLS could not go on; told as refused connections are."""
        self.context.log.meter.tls_failures.add()
        self._refused += 1
        if self._refused <= REFUSALS_TOLD:
            self.context.log.closed(client=ip, reason=why)

    def tick(self) -> None:
        """Once a second, from the worker."""
        self.second = int(self._clock.monotonic())
        self.dialogues.tick()
        if self._refused > REFUSALS_TOLD:
            self.context.log.event(
                f"{self._refused - REFUSALS_TOLD} more connections were refused within a second"
            )
        self._refused = 0
        for connection in list(self.connections):
            connection.tick(self.second, self._timeout)

    async def drain(self, grace: float) -> None:
        """Bring all sessions to an end: the idle ones at once with 421 4.3.2, those in a transaction when it
        is over, or after ``grace`` seconds (RFC 5321 §3.8)."""
        self.draining = True
        for connection in list(self.connections):
            if not connection.busy:
                connection.say_goodbye(SHUTTING_DOWN)
        if await self._emptied(grace, lambda: any(connection.busy for connection in self.connections)):
            for connection in list(self.connections):
                connection.say_goodbye(SHUTTING_DOWN)
        # The last replies are on their way; a client that does not close its side is not waited for.
        await self._emptied(1.0, lambda: bool(self.connections))
        for connection in list(self.connections):
            connection.abort()

    async def _emptied(self, within: float, left: Callable[[], bool]) -> bool:
        """Wait until ``left`` is false, ``within`` seconds at most; whether it is still true."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while left() and loop.time() < deadline:
            await asyncio.sleep(0.02)
        return left()
