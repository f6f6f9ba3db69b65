"""The queue for other hosts on fakes: a spool in memory, hosts that answer as a test says, and a clock that leaps."""

import os
from collections.abc import Callable, Coroutine, Iterable, Sequence
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

from fastsmtp.bounce.decide import Decision, Outcome, decide
from fastsmtp.bounce.original import Original
from fastsmtp.intake.intake import Intake
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mail.result import DeliveryResult
from fastsmtp.queue.hand import Told
from fastsmtp.queue.plan.board import Alone, Claims
from fastsmtp.queue.plan.clock import QueueClock
from fastsmtp.queue.plan.settings import PlanSettings
from fastsmtp.queue.remote import RemoteRunner
from fastsmtp.queue.suspects import Suspects
from fastsmtp.queue.ways import Ways
from fastsmtp.routing.route import Hop
from fastsmtp.routing.router import Router
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.transport.smtp.deliver import Done, Job
from fastsmtp.transport.smtp.mx import Unroutable
from fastsmtp.transport.smtp.place import Place
from fastsmtp.transport.smtp.verdict import OK, SiteOutcome
from tests.fakes.clock import FakeClock
from tests.fakes.quotas import FakeQuotas
from tests.fakes.relay_box import FakeRelayBox
from tests.fakes.routing import router
from tests.fakes.spool import MemorySpool

TAKEN = (250, "2.0.0", "taken")


class Timer:
    """What `FakeLoop.call_later` gives."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeLoop:
    """Calls what is due; time passes only by `run`."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self._soon: list[Callable[[], None]] = []
        self._later: list[tuple[float, int, Timer, Callable[[], None]]] = []
        self._numbers = count()

    def call_soon(self, call: Callable[[], None]) -> None:
        self._soon.append(call)

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        timer = Timer()
        heappush(self._later, (self.clock.monotonic() + delay, next(self._numbers), timer, call))
        return timer

    def turn(self) -> None:
        """Until nothing is due now."""
        for _ in range(100_000):
            if not self._soon:
                return
            calls, self._soon = self._soon, []
            for call in calls:
                call()
        raise AssertionError("it never comes to rest")

    def run(self, seconds: float) -> None:
        """Let time pass, and everything happen in it."""
        end = self.clock.monotonic() + seconds
        self.turn()
        while self._later and self._later[0][0] <= end:
            at, _, timer, call = heappop(self._later)
            self.clock.pass_by(max(0.0, at - self.clock.monotonic()))
            if not timer.cancelled:
                call()
                self.turn()
        self.clock.pass_by(max(0.0, end - self.clock.monotonic()))


Answer = tuple[int, str, str] | SiteOutcome
"""What a host says to each recipient; or why there is no session, or it broke off."""

REFUSED = SiteOutcome("unreachable", "connection refused", "connect", 0, "4.4.1")
BUSY = SiteOutcome("slow-down", "421 4.7.0 too many", "greeting", 421, "4.7.0")


class FakeGuide:
    """Each domain's site is `mx.DOMAIN`, unless ``sites`` says otherwise: another name, or a failure."""

    def __init__(self) -> None:
        self.sites: dict[str, str | Unroutable] = {}
        self.asked: list[str] = []

    async def place(self, hops: Sequence[Hop], credentials: Any, *, requiretls: bool = False) -> Place:
        domain = hops[0].host
        self.asked.append(domain)
        site = self.sites.get(domain, f"mx.{domain}")
        if isinstance(site, Unroutable):
            raise site
        return Place(site, ())


class FakeHosts:
    """A transport. ``say`` gives what a site answers for an address; each attempt takes ``seconds``."""

    def __init__(self, loop: FakeLoop) -> None:
        self.loop = loop
        self.say: Callable[[str, str], Answer] = lambda site, address: TAKEN
        self.seconds: dict[str, float] = {}
        self.jobs: list[tuple[float, str, str, tuple[str, ...]]] = []
        """When, site, queue id, addresses."""
        self.contents: list[Any] = []
        self.envelopes: list[Envelope] = []
        self.taken: list[tuple[str, str]] = []

    def deliver(self, job: Job, done: Done) -> "FakeDelivery":
        known = job.envelope.recipients
        site = job.place.site
        addresses = tuple(known[number].address for number in job.recipients)
        self.jobs.append((self.loop.clock.monotonic(), site, job.envelope.id, addresses))
        content = job.content
        if not isinstance(content, bytes):
            content = os.pread(content.fd, content.length, content.offset)  # type: ignore[union-attr]
        self.contents.append(content)
        self.envelopes.append(job.envelope)

        delivery = FakeDelivery(job, done)

        def end() -> None:
            if delivery.cancelled:
                return
            results, word = [], OK
            for number in job.recipients:
                answer = self.say(site, known[number].address)
                if isinstance(answer, SiteOutcome):
                    word = answer
                    results.append(
                        DeliveryResult(
                            number, "deferred", word.code, word.enhanced, word.reason, "", "x-fastsmtp"
                        )
                    )
                    continue
                code, enhanced, text = answer
                status: Any = {2: "relayed", 4: "deferred", 5: "failed"}[code // 100]
                if status == "relayed":
                    self.taken.append((job.envelope.id, known[number].address))
                if status == "deferred":
                    word = SiteOutcome("ok", f"{code} {text}", "recipient", code, enhanced)
                results.append(DeliveryResult(number, status, code, enhanced, text, f"{site}:25", "smtp"))
            done(results, word)

        self.loop.call_later(self.seconds.get(site, 0.0), end)
        return delivery


class FakeDelivery:
    """One under way."""

    def __init__(self, job: Job, done: Done) -> None:
        self.cancelled = False
        self._job = job
        self._done = done

    def cancel(self, reason: str) -> None:
        self.cancelled = True
        numbers = self._job.recipients
        self._done(
            [DeliveryResult(number, "deferred", 0, "4.3.2", reason, "", "x-fastsmtp") for number in numbers],
            OK,
        )


class FakeTeller:
    """Keeps what is owed; ``refuses`` so many times."""

    def __init__(self) -> None:
        self.refuses = 0
        self.decisions: list[tuple[str, Decision]] = []
        self.originals: list[Original] = []

    def tell(
        self,
        envelope: Envelope,
        outcomes: Iterable[Outcome],
        original: Callable[[int], Original],
        done: Told,
    ) -> None:
        if self.refuses:
            self.refuses -= 1
            done(list(outcomes))
            return
        self.decisions.append((envelope.id, decide(envelope, outcomes)))
        self.originals.append(original(20))
        done([])

    def notices(self, kind: str) -> list[tuple[str, str]]:
        """Queue id and address of each recipient told of."""
        return [
            (queue_id, outcome.recipient.address)
            for queue_id, decision in self.decisions
            for notice in decision.notices
            if notice.kind == kind
            for outcome in notice.outcomes
        ]


class RemoteWorld:
    """The runner among its fakes. It is not started by itself."""

    def __init__(self, route: Router | None = None, **settings: Any) -> None:
        self.clock = FakeClock()
        self.loop = FakeLoop(self.clock)
        self.box = FakeRelayBox(self.loop.call_soon)
        self.guide = FakeGuide()
        self.hosts = FakeHosts(self.loop)
        self.teller = FakeTeller()
        self.router = route or router()
        self.time = QueueClock(self.clock.now(), self.clock.monotonic(), None)
        self._log_fd = os.memfd_create("log")
        self.log = MailLog(self.clock, slot=0, fd=self._log_fd)
        self.settings = PlanSettings(**{"jitter": 0.0, **settings})
        self.claims: Claims = Alone()
        self.region = memoryview(bytearray(Suspects.BYTES))
        self.held: list[str] = []
        self.home = MemorySpool(self.loop.call_soon)
        self.door = Intake(self.home, hostname="mx.example.org", clock=self.clock)
        self._numbers = count()
        self.quotas = FakeQuotas()
        self.runner = self.make()

    def make(self, *, crashed: bool = False) -> RemoteRunner:
        """A runner as after a start: it knows nothing but what was under way when one ``crashed``."""
        self.ways = Ways(self.router, self.guide, self.clock, self._spawn, self.log.event)
        self.runner = RemoteRunner(
            self.box,
            ways=self.ways,
            transport=self.hosts,
            teller=self.teller,
            log=self.log,
            clock=self.clock,
            time=self.time,
            settings=self.settings,
            limits=self.settings.board_limits(1),
            claims=self.claims,
            suspects=Suspects(
                self.region,
                crashed=crashed,
                hold=self.held.append,
                event=self.log.event,
            ),
            door=self.door,
            loop=self.loop,
            rng=Random(1),
            quotas=self.quotas,
        )
        return self.runner

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        def go() -> None:
            try:
                work.send(None)
            except StopIteration:
                return
            raise AssertionError("a fake waits")

        self.loop.call_soon(go)

    def start(self) -> "RemoteWorld":
        self.runner.start()
        self.loop.turn()
        return self

    def letter(self, *to: str | Recipient, sender: str = "a@near.test", **params: str) -> Envelope:
        """An envelope to ``to``."""
        return Envelope(
            id=f"ID{next(self._numbers):011}",
            sender=sender,
            recipients=[Recipient(one, "") if isinstance(one, str) else one for one in to],
            client_ip="192.0.2.9",
            helo="client.test",
            protocol="ESMTP",
            received_at=self.clock.now(),
            params=params or None,
        )

    def send(self, *to: str | Recipient, **more: Any) -> str:
        """A message comes in; its id."""
        envelope = self.letter(*to, **more)
        self.box.commit(envelope)
        self.loop.turn()
        return envelope.id

    def run(self, seconds: float) -> None:
        """Let time pass, with a tick each second where little happens, fewer over long times."""
        step = 1.0 if seconds <= 3600 else 60.0
        while seconds > 0:
            self.loop.run(min(step, seconds))
            self.runner.tick()
            self.loop.turn()
            seconds -= step
        self.loop.turn()

    def logged(self) -> str:
        """The log."""
        self.log.flush()
        return os.pread(self._log_fd, 1 << 24, 0).decode()

    def attempts(self, site: str) -> list[float]:
        """When it was tried, in seconds since the start of the world."""
        return [at - 1000.0 for at, name, _, _ in self.hosts.jobs if name == site]
