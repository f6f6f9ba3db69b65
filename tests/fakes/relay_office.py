"""A spool, its delivery and its queue for other hosts in a directory: everything real but the hosts, the loop and the
time; and a record of what happened that outlives the process.

A message is known by its number, which its Subject has; a notice by its queue id, a colon, and the number of the
message it tells of. A line of the record is a letter and what it is about:

    A key               answered 250
    M key address       handed to a host
    T key address       taken by a host
    S key address       stored as done: nothing more may be sent to him
    O key address what  a notice is owed of what became of him
    N key address what  a host has taken one that tells it
    H key               held by hand
    C key               handed to a host with other content than was sent
    X                   the process died
"""

import os
import re
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from fastsmtp.bounce.decide import Outcome
from fastsmtp.bounce.original import Original
from fastsmtp.intake.intake import Intake
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mail.result import DeliveryResult
from fastsmtp.process.outbound import ClockFile
from fastsmtp.queue.hand import Told
from fastsmtp.queue.notices import Notifier
from fastsmtp.queue.plan.board import Alone
from fastsmtp.queue.plan.settings import PlanSettings
from fastsmtp.queue.remote import RemoteRunner
from fastsmtp.queue.suspects import Suspects
from fastsmtp.queue.ways import Ways
from fastsmtp.routing.router import Router
from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.relay import Defer, Finish
from fastsmtp.transport.smtp.deliver import Done, Job
from fastsmtp.transport.smtp.verdict import OK, SiteOutcome
from tests.fakes.post_office import LeapingClock, PostOffice, nothing
from tests.fakes.remote import Answer, FakeDelivery, FakeGuide, FakeLoop
from tests.fakes.routing import router

PREFIX = b"Return-Path: <alice@example.org>\r\nReceived: by mx.example.org\r\n"
_HEAD = PREFIX.partition(b"\r\n")[2]
_SUBJECT = re.compile(rb"^Subject: n([0-9]+)\r$", re.MULTILINE)
_NOTICE = re.compile(rb"^Auto-Submitted: auto-", re.MULTILINE)
_TOLD = re.compile(rb"^Final-Recipient: rfc822; (\S+)\r?\nAction: (\S+)", re.MULTILINE)


def body(n: int, *, large: bool = False) -> bytes:
    """Of the message ``n``."""
    return b"Subject: n%d\r\n\r\n" % n + b"%06d\r\n" % n * (3000 if large else 30)


def number_in(content: bytes) -> int:
    """Which message this is, or tells of."""
    found = _SUBJECT.search(content)
    assert found, content[:2000]
    return int(found[1])


def notices_in(content: bytes) -> list[tuple[str, str]]:
    """If it is a notice: whom it tells of, and what has become of him."""
    if not _NOTICE.search(content):
        return []
    return [(found[1].decode(), found[2].decode()) for found in _TOLD.finditer(content)]


class Trace:
    """The record in ``file``; each line is written at once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.touch()

    def tell(self, *words: object) -> None:
        """One line more."""
        with self._file.open("a", buffering=-1) as file:
            file.write(" ".join(map(str, words)) + "\n")

    def lines(self) -> list[list[str]]:
        """All of it, in words."""
        return [line.split() for line in self._file.read_text().splitlines()]


class RecordingHosts:
    """``says`` gives what a site answers for an address. They take two seconds."""

    def __init__(
        self,
        loop: FakeLoop,
        trace: Trace,
        says: Callable[[str, str], Answer],
        fault: Callable[[str], None] = nothing,
    ) -> None:
        self._loop = loop
        self._trace = trace
        self.says = says
        self._fault = fault

    def deliver(self, job: Job, done: Done) -> FakeDelivery:
        """See `SmtpTransport.deliver`."""
        content = job.content
        if not isinstance(content, bytes):
            content = os.pread(content.fd, content.length, content.offset)  # type: ignore[union-attr]
        number = number_in(content)
        key = str(number)
        notices = notices_in(content)
        if notices:
            key = f"{job.envelope.id}:{number}"
        elif content not in (_HEAD + body(number), _HEAD + body(number, large=True)):
            self._trace.tell("C", key)
        addresses = {each: job.envelope.recipients[each].address for each in job.recipients}
        for address in addresses.values():
            self._trace.tell("M", key, address)
        delivery = FakeDelivery(job, done)

        def end() -> None:
            if delivery.cancelled:
                return
            word = OK
            results = []
            for each, address in addresses.items():
                answer = self.says(job.place.site, address)
                if isinstance(answer, SiteOutcome):
                    word = answer
                    results.append(
                        DeliveryResult(each, "deferred", word.code, word.enhanced, word.reason, "", "smtp")
                    )
                    continue
                code, enhanced, text = answer
                if code == 250:
                    self._trace.tell("T", key, address)
                    for notice in notices:
                        self._trace.tell("N", key, *notice)
                status: Any = {2: "relayed", 4: "deferred", 5: "failed"}[code // 100]
                if status == "deferred":
                    word = SiteOutcome("ok", text, "recipient", code, enhanced)
                results.append(DeliveryResult(each, status, code, enhanced, text, "mx:25", "smtp"))
            self._fault("answered")
            done(results, word)

        self._loop.call_later(2.0, end)
        return delivery


class RecordingTeller:
    """What is owed, as the queue tells the `Notifier`."""

    def __init__(
        self, notifier: Notifier, trace: Trace, key: Callable[[str], str], fault: Callable[[str], None]
    ) -> None:
        self._notifier = notifier
        self._trace = trace
        self._key = key
        self._fault = fault

    def tell(
        self,
        envelope: Envelope,
        outcomes: Iterable[Outcome],
        original: Callable[[int], Original],
        done: Told,
    ) -> None:
        """See `Notifier.tell`."""
        outcomes = list(outcomes)
        for one in outcomes:
            self._trace.tell("O", self._key(envelope.id), one.recipient.address, one.action)
        self._fault("owed")

        def told(again: list[Outcome]) -> None:
            self._fault("told")
            done(again)

        self._notifier.tell(envelope, outcomes, original, told)


class RelayOffice(PostOffice):
    """``base/spool``, ``base/mail`` and ``base/trace``. ``says`` speaks for all hosts; ``fault`` is called with the
    names of the spool's steps, and with ``answered`` (a host has spoken), ``owed`` and ``told`` (a notice is about to
    be stored, and is), ``settled`` (a result is), ``changed`` (a piece of what is done by hand is). Notices enter by
    ``door``, another office, if it is given."""

    def __init__(
        self,
        base: Path,
        says: Callable[[str, str], Answer],
        *,
        fault: Callable[[str], None] = nothing,
        clock: LeapingClock | None = None,
        route: Router | None = None,
        door: PostOffice | None = None,
        plan: PlanSettings | None = None,
        **more: Any,
    ) -> None:
        self.leaping = clock or LeapingClock()
        super().__init__(base, fault=fault, clock=self.leaping, **more)
        self.trace = Trace(base / "trace")
        self.loop = FakeLoop(self.leaping)  # type: ignore[arg-type]
        self.hosts = RecordingHosts(self.loop, self.trace, says, fault)
        self.guide = FakeGuide()
        self.router = route or router()
        self._plan = plan or PlanSettings(jitter=0.0)
        self._fault = fault
        self._door = door
        self._keys: dict[str, str] = {}

    def relay(self) -> "RelayOffice":
        """Start the queue for other hosts; the spool is open."""
        door = self._door or self
        self.clock_file = ClockFile(self.base / "spool" / "clock", self.leaping, self.log)
        self.clock_file.save()
        intake = Intake(door.spool, hostname="mx.example.org", clock=self.leaping)
        notifier = Notifier(
            intake, self.router, hostname="mx.example.org", postmaster="", log=self.log, clock=self.leaping
        )
        box = self.spool.relay
        settle = box.settle

        def recorded(changes: Sequence[Defer | Finish], done: Callable[[SpoolError | None], None]) -> None:
            over = [(self.key(one.id), address) for one in changes for address in self._over(one)]

            def settled(error: SpoolError | None) -> None:
                if error is None:
                    for key, address in over:
                        self.trace.tell("S", key, address)
                self._fault("settled")
                done(error)

            settle(changes, settled)

        changed = box.changed

        def by_hand(ids: Sequence[str]) -> None:
            for one in ids:
                waiting = box.waiting(one)
                if waiting is not None and waiting.held:
                    self.trace.tell("H", self.key(one))
            self._fault("changed")
            changed(ids)

        box.settle = recorded  # type: ignore[method-assign]
        box.changed = by_hand  # type: ignore[method-assign]
        self.remote = RemoteRunner(
            box,
            ways=Ways(self.router, self.guide, self.leaping, self._spawn, self.log.event),
            transport=self.hosts,
            teller=RecordingTeller(notifier, self.trace, self.key, self._fault),
            log=self.log,
            clock=self.leaping,
            time=self.clock_file.time,
            settings=self._plan,
            limits=PlanSettings().board_limits(1),
            claims=Alone(),
            door=intake,
            suspects=Suspects(
                memoryview(bytearray(Suspects.BYTES)),
                crashed=False,
                hold=lambda queue_id: None,
                event=self.log.event,
            ),
            loop=self.loop,
            rng=Random(1),
        )
        self.remote.start()
        return self

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        def go() -> None:
            try:
                work.send(None)
            except StopIteration:
                return
            raise AssertionError("a fake waits")

        self.loop.call_soon(go)

    def key(self, queue_id: str) -> str:
        """By what the record knows this relay mail."""
        if queue_id not in self._keys:
            content = self.content(queue_id) or b""
            number = number_in(content)
            self._keys[queue_id] = f"{queue_id}:{number}" if notices_in(content) else str(number)
        return self._keys[queue_id]

    def _over(self, change: Defer | Finish) -> list[str]:
        """The recipients nothing more may be sent to once this is stored."""
        found = self.spool.relay.load(change.id)
        if found is None:
            return []
        recipients = found[0].recipients
        left = {each.number for each in change.waiting.rcpts} if isinstance(change, Defer) else set()
        return [one.address for number, one in enumerate(recipients) if number not in left]

    def send(
        self,
        n: int,
        *recipients: Recipient,
        large: bool = False,
        sender: str = "alice@example.org",
        params: dict[str, str] | None = None,
    ) -> None:
        """Message ``n`` comes in; its 250 is recorded."""
        queue_id = self.spool.new_id()
        envelope = Envelope(
            queue_id, sender, list(recipients), "192.0.2.1", "client", "ESMTP", self.clock.now(), params
        )
        content: Any = body(n, large=large)
        if large:
            file: Any = self.spool.open_body(queue_id, PREFIX)
            file.write(content)
            content = file

        def answered(error: SpoolError | None) -> None:
            self.answers[queue_id] = error
            if error is None:
                self.trace.tell("A", n)

        self.spool.submit(envelope, PREFIX, content, answered)

    def pump(self, timeout: float | None = None) -> None:
        """What was posted, and what is due on the loop."""
        self.turn(timeout)
        if self._door is not None:
            self._door.turn()
        self.loop.turn()

    def pass_by(self, seconds: float) -> None:
        """Time passes, with a tick at its end."""
        self.loop.run(seconds)
        self.remote.tick()
        self.pump()

    def drain(self, seconds: float) -> None:
        """Let time pass in leaps of ``seconds`` until the spool holds nothing any more."""
        for _ in range(2000):
            self.pass_by(seconds)
            self.pump(0.002)
            if not self.left():
                return
        raise AssertionError(f"this is left: {self.left()}")

    def close(self) -> None:
        """Stop in order; what is under way is left as it was."""
        self.remote.stop()
        super().close()
