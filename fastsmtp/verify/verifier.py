"""Asks next hops for recipients: from memory where that has the answer, else one question for all who wait for it.

A question costs connections of ours and time of another server, and strangers cause it. So few are under way at one
site while the others stand in line, a site that gave no answer is left alone for a while, and whoever comes beyond
what may wait is told to come again.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from functools import partial
from typing import Protocol

from fastsmtp.clock import Clock
from fastsmtp.mail.reply import CANNOT_VERIFY, Reply
from fastsmtp.queue.ways import Found, Way
from fastsmtp.routing.route import RemoteRoute
from fastsmtp.routing.router import Router
from fastsmtp.smtp.handler import PENDING, Answer
from fastsmtp.smtp.outgoing_values import Outcome
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.transport.smtp.mx import Unroutable
from fastsmtp.transport.smtp.place import Place
from fastsmtp.transport.smtp.probe import Answered
from fastsmtp.verify.judge import About, judge
from fastsmtp.verify.verdicts import Hops, Verdicts

MOST_AT_ONCE = 1000
"""Questions of a worker that are under way or stand in line."""
MOST_A_SITE = 10
"""Questions under way at one site, each over a connection of its own."""
MOST_WAITING = 10_000
"""Sessions that wait for an answer."""
MOST_SITES = 1000
"""Sites that are remembered to have given no answer."""
MOST_LOST = 5
"""Questions in turn that a site breaks off until it counts as one that gives no answer."""
LONGEST = 60.0
"""Seconds after which a question is given up."""
TOLD = 20
"""Answers of one second that have a line of their own in the log."""

Told = Callable[[Reply | None], None]
"""Hears the reply to RCPT, None where the recipient is known: once, on the loop's thread."""


class Places(Protocol):
    """`Ways`, or a test's."""

    def place(self, way: Way) -> Place | None:
        """See `Ways.place`."""

    def look_up(self, way: Way, found: Found) -> None:
        """See `Ways.look_up`."""


class Cancellable(Protocol):
    """A question that is under way."""

    def cancel(self, reason: str) -> None:
        """See `Probe.cancel`."""


class Asker(Protocol):
    """`SmtpTransport`, or a test's."""

    def probe(self, place: Place, address: str, answered: Answered) -> Cancellable:
        """See `SmtpTransport.probe`."""


class _Question:
    """One recipient at one way, and the sessions that wait for the answer, each with its deadline."""

    __slots__ = ("address", "answer", "begun", "hops", "key", "lined", "over", "probe", "site", "waiting")

    def __init__(self, key: str, address: str, hops: Hops, now: float) -> None:
        self.key = key
        self.address = address
        self.hops = hops
        self.begun = now
        self.waiting: deque[tuple[float, Told]] = deque()
        self.lined = False
        self.site = ""  # where it is under way
        self.probe: Cancellable | None = None
        self.over = False
        self.answer: Reply | None = None


class Verifier:
    """One for a worker; used on the loop's thread, `tick` once a second."""

    def __init__(self, router: Router, places: Places, asker: Asker, *, log: MailLog, clock: Clock) -> None:
        self._router = router
        self._places = places
        self._asker = asker
        self._log = log
        self._clock = clock
        self._verdicts = Verdicts()
        self._questions: dict[tuple[str, Hops], _Question] = {}
        self._sites: Counter[str] = Counter()
        self._lines: dict[str, deque[tuple[_Question, Place]]] = {}
        self._serving: set[str] = set()
        self._lost: Counter[str] = Counter()
        self._silent: OrderedDict[Hashable, float] = OrderedDict()
        self._waiting = 0
        self._told = 0

    def ask(self, address: str, route: RemoteRoute, told: Told) -> Answer:
        """Whether the next hop of ``route`` takes mail for ``address``: None where it does, a reply that refuses, or
        `PENDING`: then ``told`` hears it later, within `relay.verify.timeout`."""
        now = self._clock.monotonic()
        local, _, domain = address.rpartition("@")
        key = f"{local}@{domain.lower()}"
        verdict = self._verdicts.find(key, route.hops, now)
        if verdict is not None:
            if verdict.again <= now:
                verdict.again = now + self._router.verification.retry
                self._question(key, address, route.hops, now)
            return verdict.answer
        if self._waiting >= MOST_WAITING:
            return CANNOT_VERIFY
        question = self._question(key, address, route.hops, now)
        if question is None:
            return CANNOT_VERIFY
        if question.over:
            return question.answer
        self._waiting += 1
        question.waiting.append((now + self._router.verification.timeout, told))
        return PENDING

    def tick(self) -> None:
        """Tell those who have waited for too long, give up questions without an answer."""
        now = self._clock.monotonic()
        for question in list(self._questions.values()):
            while question.waiting and question.waiting[0][0] <= now:
                self._tell(question.waiting.popleft()[1], CANNOT_VERIFY)
            if question.over:
                continue
            if now - question.begun >= LONGEST or (question.lined and not question.waiting):
                self._give_up(question)
        for site in list(self._lines):
            self._lines[site] = deque(one for one in self._lines.get(site, ()) if not one[0].over)
            self._serve(site)
        if self._told > TOLD:
            self._log.event(
                f"{self._told - TOLD} more recipients were asked for at next hops within a second"
            )
        self._told = 0

    # --- one question -----------------------------------------------------------------------------

    def _question(self, key: str, address: str, hops: Hops, now: float) -> _Question | None:
        """The one under way, or a new one, which may be over at once; None when there may be none."""
        under_way = self._questions.get((key, hops))
        if under_way is not None:
            return under_way
        if len(self._questions) >= MOST_AT_ONCE or self._is_silent(hops, now):
            return None
        question = _Question(key, address, hops, now)
        self._questions[key, hops] = question
        way = (hops, False)
        place = self._places.place(way)
        if place is None:
            self._places.look_up(way, partial(self._found, question))
        else:
            self._found(question, place)
        return question

    def _found(self, question: _Question, found: Place | Unroutable) -> None:
        if question.over:
            return
        now = self._clock.monotonic()
        if isinstance(found, Unroutable):
            self._keep_silent(question.hops, now)
            self._note(question, "", f"{found.enhanced} {found}")
            self._settle(question, CANNOT_VERIFY)
        elif self._is_silent(found.site, now):
            self._settle(question, CANNOT_VERIFY)
        else:
            question.lined = True
            self._lines.setdefault(found.site, deque()).append((question, found))
            self._serve(found.site)

    def _serve(self, site: str) -> None:
        """Begin questions of the site's line as far as they may be; not from within itself, as one may be over at
        once."""
        if site in self._serving:
            return
        self._serving.add(site)
        line = self._lines.get(site)
        while line and self._sites[site] < MOST_A_SITE:
            question, place = line.popleft()
            question.lined = False
            if question.over:
                continue
            if self._is_silent(site, self._clock.monotonic()):
                self._settle(question, CANNOT_VERIFY)
                continue
            question.site = site
            self._sites[site] += 1
            probe = self._asker.probe(place, question.address, partial(self._answered, question))
            if not question.over:
                question.probe = probe
        if not line:
            self._lines.pop(site, None)
        self._serving.discard(site)

    def _answered(self, question: _Question, remote: str, outcome: Outcome) -> None:
        answer, about = judge(outcome)
        self._note(
            question, remote, f"{outcome.code or outcome.enhanced} {outcome.text}", exists=answer is None
        )
        self._remember(question, answer, about)
        self._settle(question, answer)

    def _remember(self, question: _Question, answer: Reply | None, about: About) -> None:
        now = self._clock.monotonic()
        settings = self._router.verification
        if about == "question":
            self._lost[question.site] += 1
        else:
            self._lost.pop(question.site, None)
        if about == "site" or self._lost[question.site] >= MOST_LOST:
            self._keep_silent(question.site, now)
        elif answer is None:
            self._verdicts.know(question.key, question.hops, now, settings)
        else:
            self._verdicts.refuse(question.key, question.hops, now, answer, settings)

    def _give_up(self, question: _Question) -> None:
        if question.probe is not None:
            question.probe.cancel("the question took too long")
        if not question.over:
            self._settle(question, CANNOT_VERIFY)

    def _settle(self, question: _Question, answer: Reply | None) -> None:
        """It is over; all who wait are told."""
        question.over = True
        question.answer = answer
        question.probe = None
        self._questions.pop((question.key, question.hops), None)
        if question.site:
            self._sites[question.site] -= 1
            if not self._sites[question.site]:
                del self._sites[question.site]
        while question.waiting:
            self._tell(question.waiting.popleft()[1], answer)
        self._serve(question.site)

    def _tell(self, told: Told, answer: Reply | None) -> None:
        self._waiting -= 1
        try:
            told(answer)
        except Exception as error:  # the others wait too
            self._log.event(f"internal error after a recipient was verified: {error!r}")

    # --- sites ------------------------------------------------------------------------------------

    def _is_silent(self, site: Hashable, now: float) -> bool:
        return self._silent.get(site, now) > now

    def _keep_silent(self, site: Hashable, now: float) -> None:
        self._silent[site] = now + self._router.verification.retry
        self._silent.move_to_end(site)
        if len(self._silent) > MOST_SITES:
            self._silent.popitem(last=False)
        if len(self._lost) > MOST_SITES:
            self._lost.clear()

    def _note(self, question: _Question, remote: str, reply: str, *, exists: bool = False) -> None:
        self._told += 1
        if self._told <= TOLD:
            self._log.verified(to=question.address, relay=remote, exists=exists, reply=reply)
