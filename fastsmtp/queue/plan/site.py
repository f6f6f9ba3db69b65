"""One site: a destination as the set of hosts that take its mail, and what its answers have taught about it.

* The **window** is how many deliveries may run to it at once. It begins with one, grows by one for each full window
  of successes up to the limit of the settings, is halved when the site asks for less, and is one while it fails.
* A site that **fails** is paused by the retry schedule and then tried with one delivery, however much mail waits for
  it; nothing is written for that mail. The first success opens the window gently, from one.
* A **rate** in messages a minute may hold it back, too.

Whatever holds a site back is told by `Site.state` with the reason and the remote's words.
"""

from random import Random
from typing import Literal

from msgspec import Struct

from fastsmtp.mail.result import printable
from fastsmtp.queue.plan.outcome import Outcome
from fastsmtp.queue.plan.retry import RetrySchedule

LONGEST_WORDS = 200
"""Characters kept of what a remote said."""

STRIKES = 3
"""Mails in a row, one after the other, that have to break off in the middle before it is the site that is paused: one
or two of them may be at fault themselves."""

_REMEMBERED = 8
"""Deliveries over which their length is averaged."""

Health = Literal["new", "working", "failing"]
"""``new``: never tried; ``working``: answered last; ``failing``: did not, or would not take mail."""


class SiteLimits(Struct, frozen=True, kw_only=True):
    """What the settings allow one site: ``connections`` at once, ``per_minute`` messages, 0 for any number."""

    connections: int
    per_minute: int


class SiteState(Struct, frozen=True, kw_only=True):
    """A site as it is shown. ``next_at``: queue time before which nothing is begun, None when it may be at any
    moment; ``reason``: why there is not more at once, with the remote's words, empty when nothing is in the way;
    ``since``: since when it is in this health; ``attempts``: failed ones in a row; ``seconds``: how long its last
    deliveries took on average."""

    name: str
    health: Health
    window: int
    in_flight: int
    waiting: int
    next_at: float | None
    reason: str
    since: float
    attempts: int
    seconds: float


class Site:
    """``now`` is queue time everywhere. Who holds a site (`SiteBoard`) asks `may_begin`, then calls `begin` and later
    `end` for each delivery; `waiting` and `place` are the holder's to set."""

    __slots__ = (
        "_cause",
        "_filled",
        "_limits",
        "_regained",
        "_strikes",
        "_successes",
        "_tokens",
        "_tokens_at",
        "_words",
        "attempts",
        "era",
        "full_until",
        "health",
        "in_flight",
        "name",
        "place",
        "seconds",
        "since",
        "slow",
        "timer",
        "until",
        "used_at",
        "waiting",
        "window",
    )

    def __init__(self, name: str, limits: SiteLimits, now: float) -> None:
        self.name = name
        self.waiting = 0
        """Mails for it that are not in flight and have no due time of their own."""
        self.in_flight = 0
        self.window = 1
        self.health: Health = "new"
        self.attempts = 0
        self.until = now
        """End of its pause."""
        self.full_until = now
        """All workers together have begun what they may: until when it is not asked for more."""
        self.since = now
        self.used_at = now
        self.era = 0
        """Counts the reductions of the window: a delivery that was begun before the last one tells nothing new."""
        self.slow = False
        """Whether a delivery lingered and none was quick since."""
        self.seconds = 0.0
        """How long a delivery takes, as the average of the last ones."""
        self.place = -1
        self.timer = 0.0
        self._limits = limits
        self._filled = False
        """Whether the window was used up since it last changed: only then do successes tell that it bears more."""
        self._successes = 0
        self._strikes = 0
        self._regained = 0
        """The window at which it is no longer called slowed."""
        self._tokens = self._most_tokens
        self._tokens_at = now
        self._cause = ""
        self._words = ""

    @property
    def _most_tokens(self) -> float:
        """Messages that may go at once after a rest: those of one second, and never less than one."""
        return max(1.0, self._limits.per_minute / 60)

    def opens_at(self, now: float) -> float:
        """When it may begin a delivery as far as time goes: ``now`` or later."""
        at = max(self.until, self.full_until, now)
        if self._limits.per_minute:
            rate = self._limits.per_minute / 60
            self._tokens = min(self._most_tokens, self._tokens + max(0.0, now - self._tokens_at) * rate)
            self._tokens_at = now
            if self._tokens < 1:
                at = max(at, now + (1 - self._tokens) / rate)
        return at

    def begin(self, now: float) -> None:
        """One of the waiting mails is delivered."""
        self.waiting -= 1
        self.in_flight += 1
        self.used_at = now
        if self.in_flight >= self.window:
            self._filled = True
        if self._limits.per_minute:
            self._tokens -= 1

    def end(
        self, outcome: Outcome, era: int, now: float, words: str, schedule: RetrySchedule, rng: Random
    ) -> None:
        """A delivery of the time when `era` was ``era`` ended; ``words``: the remote's, or why there are none."""
        self.in_flight -= 1
        self.used_at = now
        current = era == self.era
        if outcome is Outcome.DONE or outcome is Outcome.PUT_OFF:
            self._works(now, outcome is Outcome.DONE)
        elif outcome is Outcome.UNREACHABLE:
            if current or self.health != "failing":
                self._pause("unreachable", words, now, schedule, rng)
        elif outcome is Outcome.NOTHING:
            self._tokens += 1
        elif current:
            self._complains(outcome, words, now, schedule, rng)

    def took(self, seconds: float) -> None:
        """A delivery was over after so long; what came of it does not matter."""
        self.seconds += (seconds - self.seconds) / _REMEMBERED if self.seconds else seconds

    def resume(self, now: float) -> None:
        """End its pause: somebody asks for an attempt now."""
        self.until = min(self.until, now)

    def suspect(self) -> None:
        """It is known from before a restart that it failed last."""
        if self.health == "new":
            self.health = "failing"
            self._cause = "failing before the restart"

    def rested(self) -> None:
        """It was idle for long: what it bore then is found out anew."""
        self._regained = 0
        self._reduce(1)

    def state(self, now: float) -> SiteState:
        """How it is shown."""
        at = self.opens_at(now)
        return SiteState(
            name=self.name,
            health=self.health,
            window=self.window,
            in_flight=self.in_flight,
            waiting=self.waiting,
            next_at=at if at > now else None,
            reason=self._reason(at > now, self.full_until > now),
            since=self.since,
            attempts=self.attempts,
            seconds=self.seconds,
        )

    def _works(self, now: float, success: bool) -> None:
        self._strikes = 0
        if self.health != "working":
            self.health = "working"
            self.since = now
            self.until = now
            self.attempts = self._regained = 0
            self._reduce(1)
            self._filled = True
        if success and self._filled and self.window < self._limits.connections:
            self._successes += 1
            if self._successes >= self.window:
                self.window += 1
                self._successes = 0
                self._filled = self.in_flight >= self.window
        if self.window >= self._regained:
            self._regained = 0

    def _complains(
        self, outcome: Outcome, words: str, now: float, schedule: RetrySchedule, rng: Random
    ) -> None:
        """It answered, and wants less. What is above the window ends by itself before anything is begun."""
        if self.window > 1:
            self._cause = f"slowed from {self.window} at once to {self.window // 2}"
            self._words = printable(words, LONGEST_WORDS)
            self._regained = max(self._regained, self.window)
            self._reduce(self.window // 2)
            return
        if outcome is Outcome.SLOWER:
            self._strikes += 1
            if self._strikes < STRIKES and self.health != "failing":
                return
        self._pause("takes no mail", words, now, schedule, rng)

    def _pause(self, cause: str, words: str, now: float, schedule: RetrySchedule, rng: Random) -> None:
        if self.health != "failing":
            self.health = "failing"
            self.since = now
        self.attempts += 1
        self.until = now + schedule.pause(self.attempts, rng)
        self._cause = cause
        self._words = printable(words, LONGEST_WORDS)
        self._reduce(1)

    def _reduce(self, window: int) -> None:
        self.window = window
        self._successes = self._strikes = 0
        self._filled = self.in_flight >= window
        self.era += 1

    def _reason(self, later: bool, full: bool) -> str:
        parts = []
        if self.health == "failing":
            times = f", {self.attempts} attempts in a row" if self.attempts > 1 else ""
            parts.append(self._cause + times + (f": {self._words}" if self._words else ""))
        elif self._regained:
            parts.append(self._cause + (f": {self._words}" if self._words else ""))
        elif self.health == "new":
            parts.append("no answer yet")
        if self.slow:
            parts.append("slow to answer")
        if full:
            parts.append("all that it may have over all workers is begun")
        elif later and self.health != "failing":
            parts.append(f"no more than {self._limits.per_minute} messages a minute")
        if self.waiting and self.in_flight >= self.window:
            parts.append(f"{self.in_flight} at once of {self.window}")
        return "; ".join(parts)
