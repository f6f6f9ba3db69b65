"""When one mail is tried again, and when it is given up."""

from itertools import pairwise
from random import Random

import pytest

from fastsmtp.queue.plan.retry import RetrySchedule
from fastsmtp.queue.plan.settings import PlanSettings

DAY, HOUR = 86_400.0, 3600.0
FIXED = RetrySchedule(
    pauses=(60, 300, 900, 1800, HOUR, 2 * HOUR, 4 * HOUR), jitter=0, expire=5 * DAY, delay_notice=4 * HOUR
)
JITTERY = RetrySchedule(pauses=(60, 300), jitter=0.1, expire=DAY, delay_notice=0)


def attempts(schedule: RetrySchedule, queued_at: float = 0.0, seed: int = 1) -> list[float]:
    """The times of all attempts at a mail that is never taken."""
    rng = Random(seed)
    times = [queued_at]
    while (at := schedule.next_at(len(times), times[-1], queued_at, rng)) is not None:
        assert at > times[-1]
        times.append(at)
    return times


def test_the_pauses_are_those_of_the_settings_and_the_last_one_repeats() -> None:
    times = attempts(PlanSettings(jitter=0.0).schedule, queued_at=1000.0)
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses[:9] == [60, 300, 900, 1800, 3600, 7200, 14_400, 14_400, 14_400]
    assert set(pauses[6:-1]) == {14_400}


def test_the_last_attempt_is_made_at_the_expiry() -> None:
    times = attempts(FIXED, queued_at=1000.0)
    assert times[-1] == 1000 + 5 * DAY == FIXED.expires_at(1000.0)
    assert times[-1] - times[-2] < 4 * HOUR, "it does not wait for the end of the pause"


def test_no_two_attempts_shortly_before_the_expiry() -> None:
    schedule = RetrySchedule(pauses=(60,), jitter=0, expire=150, delay_notice=0)
    assert attempts(schedule) == [0, 60, 150], "not 120 and 150"


def test_an_expiry_before_the_first_pause_still_has_its_attempt() -> None:
    assert attempts(RetrySchedule(pauses=(3600,), jitter=0, expire=5, delay_notice=0)) == [0, 5]


def test_jitter_makes_pauses_longer_and_never_shorter() -> None:
    rng = Random(7)
    pauses = [JITTERY.pause(2, rng) for _ in range(1000)]
    assert min(pauses) >= 300
    assert max(pauses) <= 330
    assert max(pauses) - min(pauses) > 25, "spread over the whole share"


def test_what_failed_together_is_not_tried_together() -> None:
    rng = Random(7)
    assert len({JITTERY.next_at(1, 0.0, 0.0, rng) for _ in range(100)}) == 100


def test_delay_notice() -> None:
    assert FIXED.delay_notice_at(100.0) == 100 + 4 * HOUR
    assert JITTERY.delay_notice_at(100.0) is None
    late = RetrySchedule(pauses=(60,), jitter=0, expire=HOUR, delay_notice=HOUR)
    assert late.delay_notice_at(100.0) is None, "a bounce says it then"


@pytest.mark.parametrize(
    ("age", "noticed", "fate"),
    [
        (0.0, False, "wait"),
        (4 * HOUR - 1, False, "wait"),
        (4 * HOUR, False, "notice"),
        (4 * HOUR, True, "wait"),
        (5 * DAY - 1, True, "wait"),
        (5 * DAY, True, "expired"),
        (5 * DAY, False, "expired"),
        (-3 * HOUR, False, "wait"),
    ],
)
def test_fate(age: float, noticed: bool, fate: str) -> None:
    assert FIXED.fate(1000.0, 1000.0 + age, noticed=noticed) == fate


def test_the_last_attempt_is_the_last_though_due_times_are_stored_in_milliseconds() -> None:
    schedule = RetrySchedule(pauses=(60.0,), jitter=0, expire=432_000.0, delay_notice=0)
    for part in range(20):
        queued_at = 1_700_000_000.0 + part * 0.000_17
        due = schedule.next_at(9, queued_at + 431_970.0, queued_at, Random(1))
        assert due is not None
        stored = round(due * 1000) / 1000
        assert schedule.fate(queued_at, stored, noticed=True) == "expired"
