"""Queue time does not jump, whatever is done to the machine's clock."""

from itertools import pairwise
from random import Random

import pytest

from fastsmtp.queue.plan.clock import LONGEST_ABSENCE, QueueClock, Reading
from fastsmtp.queue.plan.retry import RetrySchedule
from tests.fakes.clock import FakeClock

HOUR, YEAR = 3600.0, 365 * 86_400.0
SCHEDULE = RetrySchedule(pauses=(60, 300, HOUR), jitter=0, expire=6 * HOUR, delay_notice=HOUR)


def test_a_new_queue_begins_with_the_wall_clock() -> None:
    machine = FakeClock()
    clock = QueueClock(machine.wall, machine.steady, None)
    assert clock.now(machine.steady) == machine.wall
    machine.pass_by(90)
    assert clock.now(machine.steady) == machine.wall


@pytest.mark.parametrize("jump", [-YEAR, -5 * HOUR, 5 * HOUR, YEAR])
def test_setting_the_clock_does_not_move_queue_time(jump: float) -> None:
    machine = FakeClock()
    clock = QueueClock(machine.wall, machine.steady, None)
    before = clock.now(machine.steady)
    machine.wall += jump
    machine.pass_by(10)
    assert clock.now(machine.steady) == before + 10


@pytest.mark.parametrize(
    ("passed", "believed"),
    [(30.0, 30.0), (HOUR, HOUR), (5 * HOUR, HOUR), (-5 * HOUR, 0.0), (-YEAR, 0.0), (YEAR, LONGEST_ABSENCE)],
)
def test_a_restart_believes_the_wall_clock_within_bounds(passed: float, believed: float) -> None:
    machine = FakeClock()
    saved = QueueClock(machine.wall, machine.steady, None).reading(machine.wall, machine.steady)
    assert saved == Reading(queue=machine.wall, wall=machine.wall)
    again = QueueClock(machine.wall + passed, 5.0, saved)
    assert again.now(5.0) == saved.queue + believed
    assert again.now(6.0) == saved.queue + believed + 1


def test_mail_that_the_wall_clock_stamped() -> None:
    machine = FakeClock()
    clock = QueueClock(machine.wall, machine.steady, None)
    now = clock.now(machine.steady)
    for stamp, queued_at in ((-60.0, now - 60), (5 * HOUR, now), (YEAR, now), (-YEAR, now - LONGEST_ABSENCE)):
        assert clock.queued_at(machine.wall + stamp, machine.wall, machine.steady) == queued_at


def test_times_for_people_are_the_wall_clocks_of_now() -> None:
    machine = FakeClock()
    clock = QueueClock(machine.wall, machine.steady, None)
    due = clock.now(machine.steady) + 300
    machine.wall += 5 * HOUR
    assert clock.wall_time(due, machine.wall, machine.steady) == machine.wall + 300


@pytest.mark.parametrize("restarting", [False, True])
@pytest.mark.parametrize("jump", [-YEAR, -3 * HOUR, 3 * HOUR, YEAR])
def test_a_jump_neither_loses_a_mail_nor_bounces_it_at_once(jump: float, restarting: bool) -> None:
    """A mail that is never taken, over a jump in its second hour: its attempts are no further apart than the longest
    pause, and neither they nor its expiry come earlier than without the jump, but for the hour that a start may
    believe in."""
    machine, rng = FakeClock(), Random(1)
    clock = QueueClock(machine.wall, machine.steady, None)
    queued_at = clock.now(machine.steady)
    lived, made, jumped = 0.0, [0.0], False
    due = SCHEDULE.next_at(1, queued_at, queued_at, rng)
    while due is not None:
        machine.pass_by(1)
        lived += 1
        assert lived < 24 * HOUR, "it is lost"
        if not jumped and lived > 1.5 * HOUR:
            jumped = True
            saved = clock.reading(machine.wall, machine.steady)
            machine.wall += jump
            if restarting:
                clock = QueueClock(machine.wall, machine.steady, saved)
        now = clock.now(machine.steady)
        if now >= due:
            made.append(lived)
            due = SCHEDULE.next_at(len(made), now, queued_at, rng)
    gaps = [after - before for before, after in pairwise(made)]
    assert max(gaps) <= HOUR + 60
    if restarting and jump > 0:
        assert sum(gap < HOUR for gap in gaps[2:]) <= 2, "one attempt was brought forward, and the last one"
        assert made[-1] == pytest.approx(5 * HOUR, abs=2)
    else:
        assert gaps[:3] == [60, 300, HOUR]
        assert made[-1] == 6 * HOUR
