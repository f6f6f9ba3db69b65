"""What answers teach about one site."""

from random import Random

import pytest

from fastsmtp.queue.plan.outcome import Outcome
from fastsmtp.queue.plan.retry import RetrySchedule
from fastsmtp.queue.plan.site import LONGEST_WORDS, STRIKES, Site, SiteLimits

SCHEDULE = RetrySchedule(pauses=(60, 300, 900), jitter=0, expire=86_400, delay_notice=0)


class Played:
    """A site to which deliveries go one after the other or in flights; each ends at once."""

    def __init__(self, connections: int = 20, per_minute: int = 0) -> None:
        self.now = 1000.0
        self.site = Site("far.test", SiteLimits(connections=connections, per_minute=per_minute), self.now)
        self.site.waiting = 1_000_000

    def begin(self) -> int:
        """One delivery; its era."""
        assert self.site.in_flight < self.site.window
        assert self.site.opens_at(self.now) == self.now
        self.site.begin(self.now)
        return self.site.era

    def end(self, outcome: Outcome, era: int, words: str = "") -> None:
        self.site.end(outcome, era, self.now, words, SCHEDULE, Random(1))

    def one(self, outcome: Outcome, words: str = "") -> None:
        self.end(outcome, self.begin(), words)

    def flight(self) -> list[int]:
        """As many at once as may be."""
        return [self.begin() for _ in range(self.site.window - self.site.in_flight)]

    def grow_to(self, window: int) -> None:
        while self.site.window < window:
            for era in self.flight():
                self.end(Outcome.DONE, era)


def test_the_window_grows_by_one_for_each_full_window_of_successes() -> None:
    played = Played(connections=5)
    seen = []
    for _ in range(7):
        flight = played.flight()
        seen.append(len(flight))
        for era in flight:
            played.end(Outcome.DONE, era)
    assert seen == [1, 2, 3, 4, 5, 5, 5]


def test_what_is_not_used_does_not_grow() -> None:
    played = Played()
    played.grow_to(4)
    for _ in range(100):
        played.one(Outcome.DONE)
    assert played.site.window == 4, "one at a time shows nothing about five"


def test_slower_halves_once_a_flight() -> None:
    played = Played()
    played.grow_to(16)
    for era in played.flight():
        played.end(Outcome.SLOWER, era, "421 4.7.0 too many connections")
    assert played.site.window == 8
    state = played.site.state(played.now)
    assert state.health == "working"
    assert state.next_at is None
    assert state.reason == "slowed from 16 at once to 8: 421 4.7.0 too many connections"


def test_the_reason_stands_until_the_window_has_come_back() -> None:
    played = Played()
    played.grow_to(4)
    played.one(Outcome.SLOWER, "421 no")
    played.grow_to(3)
    assert "421 no" in played.site.state(played.now).reason
    played.grow_to(4)
    assert played.site.state(played.now).reason == ""


def test_a_halved_window_has_to_be_used_up_before_it_grows() -> None:
    played = Played()
    played.grow_to(8)
    played.one(Outcome.SLOWER)
    for _ in range(20):
        played.one(Outcome.DONE)
    assert played.site.window == 4


def test_after_two_halvings_the_reason_stands_until_all_is_regained() -> None:
    played = Played()
    played.grow_to(8)
    played.one(Outcome.SLOWER, "first")
    played.one(Outcome.SLOWER, "second")
    played.grow_to(7)
    assert played.site.state(played.now).reason == "slowed from 4 at once to 2: second"
    played.grow_to(8)
    assert played.site.state(played.now).reason == ""


def test_what_runs_above_a_halved_window_ends_before_more_begins() -> None:
    played = Played()
    played.grow_to(8)
    eras = played.flight()
    played.end(Outcome.BUSY, eras.pop())
    assert (played.site.window, played.site.in_flight) == (4, 7)
    for _ in range(3):
        played.end(Outcome.DONE, eras.pop())
    assert played.site.in_flight == played.site.window == 4


def test_busy_with_nothing_left_to_halve_pauses() -> None:
    played = Played()
    played.one(Outcome.BUSY, "421 not now")
    state = played.site.state(played.now)
    assert (state.health, state.next_at, state.attempts) == ("failing", played.now + 60, 1)
    assert state.reason == "takes no mail: 421 not now"


def test_busy_while_others_run_waits_for_them() -> None:
    played = Played()
    played.grow_to(2)
    first, second = played.flight()
    played.end(Outcome.BUSY, first)
    assert played.site.window == 1
    played.end(Outcome.DONE, second)
    assert played.site.health == "working"
    assert played.site.opens_at(played.now) == played.now


def test_a_mail_that_a_site_chokes_on_does_not_pause_it_but_several_do() -> None:
    played = Played()
    played.one(Outcome.DONE)
    played.one(Outcome.SLOWER)
    assert played.site.window == 1
    for _ in range(STRIKES - 1):
        played.one(Outcome.SLOWER, "connection closed after DATA")
    assert played.site.health == "working"
    played.one(Outcome.PUT_OFF)
    for _ in range(STRIKES - 1):
        played.one(Outcome.SLOWER, "connection closed after DATA")
    assert played.site.health == "working", "not in a row"
    played.one(Outcome.SLOWER, "connection closed after DATA")
    assert played.site.health == "failing"
    assert played.site.state(played.now).reason == "takes no mail: connection closed after DATA"


def test_a_failing_site_that_breaks_off_again_has_its_next_pause() -> None:
    played = Played()
    played.one(Outcome.UNREACHABLE)
    played.now += 60
    played.one(Outcome.SLOWER)
    assert played.site.opens_at(played.now) == played.now + 300


def test_unreachable_pauses_by_the_schedule_and_leaves_one_attempt() -> None:
    played = Played()
    played.grow_to(10)
    for failed, pause in enumerate((60, 300, 900, 900), 1):
        played.one(Outcome.UNREACHABLE, "connection refused")
        state = played.site.state(played.now)
        assert (state.window, state.attempts, state.next_at) == (1, failed, played.now + pause)
        played.now += pause
    assert state.since == 1000, "since the first failure, not the last"
    assert state.reason == "unreachable, 4 attempts in a row: connection refused"


def test_a_flight_that_fails_together_is_one_failed_attempt() -> None:
    played = Played()
    played.grow_to(10)
    eras = played.flight()
    for era in eras:
        played.end(Outcome.UNREACHABLE, era)
        played.now += 1
    assert played.site.attempts == 1
    assert played.site.until == 1060


def test_what_was_begun_before_a_halving_may_find_it_dead_all_the_same() -> None:
    played = Played()
    played.grow_to(4)
    first, second, *_ = played.flight()
    played.end(Outcome.SLOWER, first)
    played.end(Outcome.UNREACHABLE, second)
    assert played.site.health == "failing"


@pytest.mark.parametrize("outcome", [Outcome.DONE, Outcome.PUT_OFF])
def test_an_answer_ends_the_failing_and_opens_gently(outcome: Outcome) -> None:
    played = Played()
    played.grow_to(10)
    played.one(Outcome.UNREACHABLE)
    played.now += 60
    played.one(outcome)
    state = played.site.state(played.now)
    assert (state.health, state.attempts, state.next_at, state.since) == ("working", 0, None, 1060)
    assert state.window == (2 if outcome is Outcome.DONE else 1)
    assert state.reason == ""
    played.grow_to(3)
    played.one(Outcome.UNREACHABLE)
    assert played.site.until == played.now + 60, "the schedule begins anew"


def test_a_success_of_before_the_pause_ends_it() -> None:
    played = Played()
    played.grow_to(2)
    first, second = played.flight()
    played.end(Outcome.UNREACHABLE, first)
    played.end(Outcome.DONE, second)
    assert played.site.health == "working"
    assert played.site.opens_at(played.now) == played.now


def test_put_off_neither_slows_nor_hurries() -> None:
    played = Played()
    played.grow_to(4)
    for _ in range(20):
        for era in played.flight():
            played.end(Outcome.PUT_OFF, era)
    assert played.site.window == 4
    assert played.site.state(played.now).reason == ""


def test_a_rate_holds_over_any_minute() -> None:
    played = Played(per_minute=120)
    times = []
    end = played.now + 300
    while (at := played.site.opens_at(played.now)) < end:
        played.now = at
        played.one(Outcome.DONE)
        times.append(at)
    assert len(times) == pytest.approx(600, abs=3)
    assert all(sum(t <= other < t + 60 for other in times) <= 122 for t in times[::50])
    state = played.site.state(played.now)
    assert state.next_at == pytest.approx(played.now + 0.5)
    assert state.reason == "no more than 120 messages a minute"


def test_a_slow_rate_and_a_rest_do_not_save_up_a_burst() -> None:
    played = Played(per_minute=6)
    played.one(Outcome.DONE)
    played.now += 3600
    played.one(Outcome.DONE)
    assert played.site.opens_at(played.now) == played.now + 10


def test_no_mail_found_counts_for_nothing() -> None:
    played = Played(per_minute=6)
    played.one(Outcome.NOTHING)
    assert played.site.health == "new"
    assert played.site.window == 1
    assert played.site.opens_at(played.now) == played.now, "the message it might have been is left"


def test_somebody_asks_for_an_attempt_now() -> None:
    played = Played()
    played.one(Outcome.UNREACHABLE)
    played.site.resume(played.now)
    assert played.site.opens_at(played.now) == played.now
    played.one(Outcome.UNREACHABLE)
    assert played.site.attempts == 2


def test_known_from_before_a_restart() -> None:
    played = Played()
    played.site.suspect()
    assert played.site.state(played.now).health == "failing"
    assert played.site.state(played.now).reason == "failing before the restart"
    played.one(Outcome.DONE)
    played.site.suspect()
    assert played.site.health == "working", "it is known better by now"


def test_a_rested_site_is_opened_gently() -> None:
    played = Played()
    played.grow_to(10)
    played.site.rested()
    assert (played.site.window, played.site.health) == (1, "working")


def test_why_no_more_is_begun() -> None:
    played = Played()
    played.grow_to(2)
    played.flight()
    assert played.site.state(played.now).reason == "2 at once of 2"


def test_the_words_of_strangers_are_one_printable_line() -> None:
    played = Played()
    played.one(Outcome.UNREACHABLE, "554 \x1b[31mred\r\n" + "x" * 10_000)
    reason = played.site.state(played.now).reason
    assert reason.startswith("unreachable: 554 ?[31mred??xxx")
    assert reason.isprintable()
    assert len(reason) == len("unreachable: ") + LONGEST_WORDS
