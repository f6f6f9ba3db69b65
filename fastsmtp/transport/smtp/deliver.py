"""Deliveries by SMTP and LMTP: a job in, one result for each of its recipients out, always and once.

What each misbehaviour of a server leads to stands in docs/delivery.md.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

from msgspec import Struct

from fastsmtp.clock import Clock
from fastsmtp.mail.envelope import Envelope
from fastsmtp.mail.result import DeliveryResult
from fastsmtp.smtp.outgoing_plan import Recipient, refused, wants_whole
from fastsmtp.smtp.outgoing_values import Outcome
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.threads import make_way
from fastsmtp.transport.smtp.connect import LoopOpener, Opener
from fastsmtp.transport.smtp.connection import Connection, Content, FileContent, Lines
from fastsmtp.transport.smtp.errand import BEFORE_MAIL, DONE, Errand
from fastsmtp.transport.smtp.fitting import Fitted, fit
from fastsmtp.transport.smtp.lenient import failed_by_tls, lenient, says_no
from fastsmtp.transport.smtp.opening import Failure, ours
from fastsmtp.transport.smtp.place import Place
from fastsmtp.transport.smtp.pool import Pool
from fastsmtp.transport.smtp.probe import Answered, Probe
from fastsmtp.transport.smtp.settings import OutboundSettings
from fastsmtp.transport.smtp.tls import Contexts
from fastsmtp.transport.smtp.tls_report import TlsReport
from fastsmtp.transport.smtp.verdict import OK, SiteOutcome, result, site, verdict, weight

_DEEPEST = 16
_FAREWELLS = 1.0
"""Seconds that QUITs get at the end of the process."""


class Job(Struct, frozen=True, gc=False):
    """A message for recipients of one place: ``recipients`` are numbers in the envelope's, at least one, each
    once."""

    envelope: Envelope
    content: Content
    recipients: Sequence[int]
    place: Place


Done = Callable[[Sequence[DeliveryResult], SiteOutcome], None]
"""Called once for each job, on the loop's thread, later than `SmtpTransport.deliver` has returned or from within it
when a connection is at hand and nothing has to be sent; with one result for each recipient, in no order."""


class SmtpTransport:
    """The connections to other servers of one process, and what goes over them. All methods are called on the loop's
    thread; `tick` once a second."""

    def __init__(
        self,
        settings: OutboundSettings,
        *,
        hostname: str,
        clock: Clock,
        log: MailLog,
        report: TlsReport | None = None,
        opener: Opener | None = None,
    ) -> None:
        now = clock.monotonic()
        self.settings = settings
        self.hello = hostname.encode("ascii")
        self.clock = clock
        self.log = log
        self.lines = Lines(settings, log, now)
        self.opener: Opener = opener or LoopOpener(settings.source_ipv4, settings.source_ipv6)
        self.contexts = Contexts(settings.ca_file)
        self.report = report or TlsReport()
        self.pool: Pool[Connection] = Pool(idle=settings.idle, uses=settings.uses, lifetime=settings.lifetime)
        self.aside: Executor = ThreadPoolExecutor(1, "aside", make_way)
        """For what takes long: one at a time, so that its memory is bounded."""
        self._active: set[Delivery | Probe] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._depth = 0

    def deliver(self, job: Job, done: Done) -> "Delivery":
        """Send ``job``; the delivery may be cancelled."""
        delivery = Delivery(self, job, done)
        if self._stopping:
            self.opener.call_later(0, lambda: delivery.cancel("the server is stopping"))
            return delivery
        self._active.add(delivery)
        if self._depth >= _DEEPEST:
            # jobs that need no answer of the network are done within each other
            self.opener.call_later(0, delivery.start)
            return delivery
        self._depth += 1
        try:
            delivery.start()
        finally:
            self._depth -= 1
        return delivery

    def probe(self, place: Place, address: str, answered: Answered) -> Probe:
        """Ask the hosts of ``place`` whether they take mail for ``address``, and send none; may be cancelled."""
        probe = Probe(self, place, address, answered)
        if self._stopping:
            self.opener.call_later(0, lambda: probe.cancel("the server is stopping"))
            return probe
        self._active.add(probe)
        probe.start()
        return probe

    @property
    def active(self) -> int:
        """Deliveries and questions that have no result yet."""
        return len(self._active)

    def tick(self) -> None:
        """Give up what has waited for too long; let idle connections go."""
        now = self.clock.monotonic()
        self.lines.tick(now)
        self.pool.tick(now)

    async def stop(self, grace: float) -> None:
        """Let what is under way finish for ``grace`` seconds, report the rest as deferred, close all connections."""
        self._stopping = True
        self.pool.clear()
        await self._emptied(grace, lambda: bool(self._active))
        for delivery in list(self._active):
            delivery.cancel("the server is stopping")
        await self._emptied(_FAREWELLS, lambda: bool(self.lines.connections))
        for connection in list(self.lines.connections):
            connection.drop("the server is stopping")
        for task in list(self._tasks):
            task.cancel()
        self.aside.shutdown(wait=False, cancel_futures=True)

    async def _emptied(self, within: float, left: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while left() and loop.time() < deadline:
            await asyncio.sleep(0.02)

    # --- for deliveries and openings --------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """See `opening.Context`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def keep(self, place: Place, connection: Connection) -> None:
        """A connection has nothing to do for now."""
        if self._stopping:
            connection.retire()
        else:
            connection.owner = self
            self.pool.give(place.key, connection, self.lines.now)

    def happened(self, connection: Connection, event: int) -> None:
        """See `Owner`: an idle connection has ended, or something came that nobody asked for."""
        self.pool.remove(connection)

    def finished(self, one: "Delivery | Probe") -> None:
        """All its results are there."""
        self._active.discard(one)


class Delivery(Errand):
    """One job under way. `Owner` of the connection that it uses."""

    __slots__ = ("_asked", "_done", "_fitted", "_fitting", "_job", "_left", "_results", "_worst")

    _transport: SmtpTransport

    def __init__(self, transport: SmtpTransport, job: Job, done: Done) -> None:
        super().__init__(transport, job.place)
        self._job = job
        self._done: Done | None = done
        self._left: list[int] = list(job.recipients)
        self._asked: list[int] = []  # of the transaction under way
        self._results: list[DeliveryResult] = []
        self._worst: Outcome | None = None
        self._fitted: Fitted | None = None
        self._fitting = False  # nothing of the transaction was said yet

    def start(self) -> None:
        """See `Errand`; nothing when all have a result."""
        if self._done is not None:
            super().start()

    def cancel(self, reason: str) -> None:
        """Report what has no result as deferred, by ``reason``; nothing when all have one."""
        if self._done is None:
            return
        remote, _ = self._abandon(reason)
        self._left += self._asked
        self._asked = []
        self._defer(remote, ours("4.3.2", reason, "plan"))
        self._finish()

    # --- connections ------------------------------------------------------------------------------

    def _unreachable(self, failures: list[Failure]) -> None:
        if self._may_do_without(failures):
            self._failures = failures
            self._opening = None
            self.start()
            return
        for failure in failures:
            self._weigh(failure.outcome)
        self._defer(*verdict(failures))
        self._finish()

    def _may_do_without(self, failures: Sequence[Failure]) -> bool:
        """Whether the message goes on without the TLS that its destination asks for; from now on it does."""
        place = lenient(self._place)
        if place is None or not any(failed_by_tls(failure.outcome) for failure in failures):
            return False
        try:
            if not says_no(self._job.content):
                return False
        except OSError:
            return False  # whoever sends it will tell
        self._place = place
        return True

    def _use(self, connection: Connection) -> None:
        connection.owner = self
        self._connection = connection
        self._next_transaction(connection)

    def _next_transaction(self, connection: Connection) -> None:
        """As many of those left as one transaction takes; all of one reverse-path."""
        job = self._job
        envelope = job.envelope
        known = envelope.recipients
        numbers = self._left
        if len(numbers) == 1:
            self._left = []
        else:
            sender = known[numbers[0]].sender
            most = self._transport.settings.recipients
            numbers = [number for number in numbers if known[number].sender == sender][:most]
            chosen = set(numbers)
            self._left = [number for number in self._left if number not in chosen]
        self._asked = numbers
        recipients = [known[number] for number in numbers]
        path = recipients[0].sender
        sender = envelope.sender if path is None else path
        content = job.content
        if type(content) is FileContent and wants_whole(connection.protocol.offer, envelope.params):
            self._begin_fitted(connection, sender, recipients, content)
        else:
            connection.begin(sender, recipients, envelope.params, content)

    # --- large messages for servers that take less --------------------------------------------------

    def _begin_fitted(
        self, connection: Connection, sender: str, recipients: Sequence[Recipient], content: FileContent
    ) -> None:
        fitted = self._fitted
        if fitted is not None and fitted.keywords == connection.protocol.offer.keywords:
            connection.begin(sender, recipients, fitted.params, fitted.content)
            return
        self._fitting = True
        self._transport.spawn(self._fit(connection, sender, recipients, content))

    async def _fit(
        self, connection: Connection, sender: str, recipients: Sequence[Recipient], content: FileContent
    ) -> None:
        offer, params = connection.protocol.offer, self._job.envelope.params
        fitted: Fitted | Outcome
        try:
            fitted = await asyncio.get_running_loop().run_in_executor(
                self._transport.aside, fit, content, os.dup(content.fd), offer, params
            )
        except Exception as error:
            self._transport.log.event(f"internal error over {self._job.envelope.id}: {error!r}")
            fitted = ours("4.3.0", "internal error", "plan")
        if connection is not self._connection:
            if isinstance(fitted, Fitted):
                fitted.close()
            return  # the connection was lost, or nobody waits any more
        self._fitting = False
        if isinstance(fitted, Fitted):
            self._forget_fitted()
            self._fitted = fitted
            connection.begin(sender, recipients, fitted.params, fitted.content)
        else:
            asked, self._asked = self._asked, []
            self._note("", asked, refused(recipients, fitted))
            self._go_on(connection)

    def _forget_fitted(self) -> None:
        if self._fitted is not None:
            self._fitted.close()
            self._fitted = None

    # --- results ----------------------------------------------------------------------------------

    def happened(self, connection: Connection, event: int) -> None:
        """See `Owner`: a transaction is over, or the connection."""
        # those of the transaction before say nothing
        outcomes = [] if self._fitting else connection.protocol.outcomes
        self._fitting = False
        asked, self._asked = self._asked, []
        if event != DONE:
            self._connection = None
            self._lost(connection, asked, outcomes)
            return
        self._note(connection.remote, asked, outcomes, final=connection.final, tls=connection.tls)
        self._go_on(connection)

    def _go_on(self, connection: Connection) -> None:
        """With those who are left, over this connection when it takes more."""
        if not self._left:
            self._connection = None
            self._transport.keep(self._place, connection)
            self._finish()
        elif connection.alive:
            self._next_transaction(connection)
        else:
            connection.retire()
            self._connection = self._opening = None
            self.start()

    def _note(
        self,
        remote: str,
        asked: Sequence[int],
        outcomes: Sequence[Outcome | None],
        *,
        final: bool = False,
        tls: str = "",
    ) -> None:
        """The results of a transaction; who has none is left for another."""
        for number, outcome in zip(asked, outcomes, strict=True):
            if outcome is None or outcome.status == "again":
                self._left.append(number)
            else:
                self._results.append(result(number, remote, outcome, final=final, tls=tls))
                if outcome.status == "deferred":
                    self._weigh(outcome)

    def _lost(self, connection: Connection, asked: Sequence[int], outcomes: Sequence[Outcome | None]) -> None:
        """The connection ended in a transaction. Who has an answer has it; for the others it depends on how far the
        message had come."""
        trouble = connection.protocol.trouble or ours("4.4.2", "the connection was lost", "idle")
        if len(outcomes) != len(asked):
            outcomes = [None] * len(asked)  # the transaction could not even be begun
        self._note(
            connection.remote,
            asked,
            [None if one == trouble and one.status == "deferred" else one for one in outcomes],
            final=connection.final,
            tls=connection.tls,
        )
        if not self._left:
            self._finish()
        elif self._reused and trouble.stage in BEFORE_MAIL:
            self._open()
        elif trouble.code == 421 or trouble.stage != "body":
            self._failures.append(Failure(connection.remote, trouble))
            self._open()
        else:
            # All of it was sent, or the server hung up over it: another host would do no better (RFC 5321 §4.5.4.1).
            self._weigh(trouble)
            self._defer(connection.remote, trouble)
            self._finish()

    def _weigh(self, outcome: Outcome) -> None:
        """Keep the reason for putting off that says most about the site."""
        if self._worst is None or weight(outcome) >= weight(self._worst):
            self._worst = outcome

    def _defer(self, remote: str, outcome: Outcome) -> None:
        """The result of all who have none."""
        self._results += [result(number, remote, outcome) for number in self._left]
        self._left = []

    def _finish(self) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        self._forget_fitted()
        self._transport.finished(self)
        try:
            done(self._results, OK if self._worst is None else site(self._worst))
        except Exception as error:
            self._transport.log.event(
                f"internal error after a delivery of {self._job.envelope.id}: {error!r}"
            )
