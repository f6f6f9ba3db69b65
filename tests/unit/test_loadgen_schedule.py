"""Closed and open loops: when messages are to begin."""

import pytest

from fastsmtp.loadgen.schedule import ClosedLoop, OpenLoop


def test_closed_loop_gives_its_messages_at_once_and_then_none() -> None:
    schedule = ClosedLoop(3, None)
    schedule.begin(100.0)
    assert [schedule.take(100.5) for _ in range(4)] == [100.5, 100.5, 100.5, None]
    assert schedule.due(101.0) is None
    assert schedule.missed() == 0


def test_closed_loop_ends_with_its_duration() -> None:
    schedule = ClosedLoop(None, 2.0)
    schedule.begin(100.0)
    assert schedule.take(101.9) == 101.9
    assert schedule.take(102.0) is None


def test_open_loop_gives_intended_starts_however_late_they_are_taken() -> None:
    schedule = OpenLoop(10.0, 0, 1, 5, None)
    schedule.begin(100.0)
    assert schedule.take(100.0) == 100.0
    assert schedule.take(100.05) is None
    assert schedule.due(100.05) == pytest.approx(100.1)
    # a stall of three seconds: all that were due meanwhile keep their times
    late = [schedule.take(103.0) for _ in range(4)]
    assert late == [pytest.approx(100.1), pytest.approx(100.2), pytest.approx(100.3), pytest.approx(100.4)]
    assert schedule.take(103.0) is None
    assert schedule.due(103.0) is None
    assert schedule.missed() == 0


def test_what_is_due_just_before_the_end_may_begin_just_after_it() -> None:
    schedule = OpenLoop(100.0, 0, 1, None, 1.0)
    schedule.begin(50.0)
    taken = 0
    while schedule.take(51.05) is not None:
        taken += 1
    assert taken == 100
    assert schedule.due(51.05) is None
    assert schedule.missed() == 0


def test_open_loop_counts_what_never_began() -> None:
    schedule = OpenLoop(100.0, 0, 1, None, 1.0)
    schedule.begin(50.0)
    for _ in range(30):
        schedule.take(50.9)
    assert schedule.take(51.1) is None
    assert schedule.missed() == 70


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_open_loops_of_all_processes_make_up_the_whole_rate(processes: int) -> None:
    starts: list[float] = []
    for index in range(processes):
        schedule = OpenLoop(50.0, index, processes, 20, None)
        schedule.begin(0.0)
        while (start := schedule.take(1e9)) is not None:
            starts.append(start)
    assert sorted(starts) == [pytest.approx(number / 50.0) for number in range(20)]


def test_the_sooner_of_messages_and_duration_bounds_an_open_loop() -> None:
    schedule = OpenLoop(10.0, 0, 1, 5, 100.0)
    schedule.begin(0.0)
    assert len([1 for _ in range(50) if schedule.take(60.0) is not None]) == 5
