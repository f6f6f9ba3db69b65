"""A relay made of the plan alone: hosts that answer after so many seconds, and a clock that leaps to what happens
next. Five days go by in a moment."""

from collections import Counter, deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random

from fastsmtp.queue.plan.board import SiteBoard
from fastsmtp.queue.plan.outcome import Outcome
from fastsmtp.queue.plan.room import Slot
from fastsmtp.queue.plan.settings import PlanSettings
from fastsmtp.queue.plan.window import DueWindow

Host = Callable[[float], tuple[float, Outcome]]
"""How long an attempt that begins at this time takes, and how it ends."""


def works(latency: float) -> Host:
    return lambda now: (latency, Outcome.DONE)


def times_out(after: float = 30.0) -> Host:
    return lambda now: (after, Outcome.UNREACHABLE)


def dies(at: float, latency: float, after: float = 30.0) -> Host:
    """One that works, and from ``at`` on times out; what is in flight then, too."""

    def host(now: float) -> tuple[float, Outcome]:
        return (after, Outcome.UNREACHABLE) if now + latency > at else (latency, Outcome.DONE)

    return host


class Mail:
    """One mail to one site."""

    def __init__(self, number: int, site: str, queued_at: float) -> None:
        self.id = f"{number:09}"
        self.site = site
        self.queued_at = queued_at
        self.attempts = 0
        self.due_at = 0.0
        self.noticed = False


class Relay:
    """``hosts``: what stands behind each site."""

    def __init__(self, settings: PlanSettings, hosts: dict[str, Host], workers: int = 1) -> None:
        self.now = 0.0
        self.schedule = settings.schedule
        self.rng = Random(3)
        self.board = SiteBoard(settings.board_limits(workers), self.schedule, self.rng)
        self.hosts = hosts
        self.window = DueWindow(1000)
        self.due_index: set[tuple[float, str]] = set()
        self.with_site: dict[str, deque[Mail]] = {name: deque() for name in hosts}
        self.put_off: dict[str, Mail] = {}
        self.attempts: dict[str, list[float]] = {name: [] for name in hosts}
        """When each site was tried."""
        self.most_at_once: Counter[str] = Counter()
        self.delivered: list[tuple[float, Mail]] = []
        self.noticed: list[tuple[float, Mail]] = []
        self.bounced: list[tuple[float, Mail]] = []
        self.writes = 0
        """Changes to what is stored of single mails."""
        self.endless: set[str] = set()
        """Sites for which there is always more mail."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Let it happen then."""
        heappush(self._events, (when, next(self._numbers), what))

    def receive(self, site: str) -> None:
        """One mail comes."""
        mail = Mail(next(self._numbers), site, self.now)
        self.with_site[site].append(mail)
        self.board.offer(site, 1, self.now)

    def run(self, until: float) -> None:
        """Let everything happen that happens before ``until``."""
        while True:
            self._begin_what_may()
            times = [
                self.board.wake_at(),
                self.window.next_at(),
                self._events[0][0] if self._events else None,
            ]
            when = min((time for time in times if time is not None), default=None)
            if when is None or when > until:
                self.now = until
                return
            self.now = max(self.now, when)
            while self._events and self._events[0][0] <= self.now:
                heappop(self._events)[2]()

    def _begin_what_may(self) -> None:
        while (start := self.window.wants()) is not None:
            self.window.refill(sorted(entry for entry in self.due_index if entry >= start))
        while (queue_id := self.window.due(self.now)) is not None:
            mail = self.put_off.pop(queue_id)
            self.with_site[mail.site].append(mail)
            self.board.offer(mail.site, 1, self.now)
        while (slot := self.board.take(self.now)) is not None:
            self._begin(slot, self.with_site[slot.name].popleft())

    def _begin(self, slot: Slot, mail: Mail) -> None:
        self.attempts[slot.name].append(self.now)
        state = self.board.state(slot.name, self.now)
        assert state is not None
        self.most_at_once[slot.name] = max(self.most_at_once[slot.name], state.in_flight)
        seconds, outcome = self.hosts[slot.name](self.now)
        self.at(self.now + seconds, lambda: self._end(slot, mail, outcome))

    def _end(self, slot: Slot, mail: Mail, outcome: Outcome) -> None:
        self.board.ended(slot, outcome, self.now, "words")
        self.due_index.discard((mail.due_at, mail.id))
        if outcome.keeps_mail:
            self.with_site[mail.site].appendleft(mail)
            self._look_at_ages(mail.site)
        elif outcome is Outcome.DONE:
            self.delivered.append((self.now, mail))
            if mail.site in self.endless:
                self.receive(mail.site)
        else:
            self._put_off(mail)

    def _put_off(self, mail: Mail) -> None:
        mail.attempts += 1
        self.writes += 1
        at = self.schedule.next_at(mail.attempts, self.now, mail.queued_at, self.rng)
        self._judge(mail)
        if at is not None:
            mail.due_at = at
            self.put_off[mail.id] = mail
            self.due_index.add((at, mail.id))
            self.window.add(at, mail.id)

    def _look_at_ages(self, site: str) -> None:
        waiting = self.with_site[site]
        kept = [mail for mail in waiting if not self._judge(mail)]
        if len(kept) < len(waiting):
            self.board.withdraw(site, len(waiting) - len(kept), self.now)
            self.with_site[site] = deque(kept)

    def _judge(self, mail: Mail) -> bool:
        """Whether it has expired."""
        fate = self.schedule.fate(mail.queued_at, self.now, noticed=mail.noticed)
        if fate == "notice":
            mail.noticed = True
            self.writes += 1
            self.noticed.append((self.now, mail))
        elif fate == "expired":
            self.bounced.append((self.now, mail))
        return fate == "expired"
