"""Token buckets fill with time, are shared by all processes, and never make one pay for another for long."""

import os
import select

import pytest

from fastsmtp.limits.buckets import ROWS, SETS, WAYS, Buckets

NOW = 1_000.0
PATIENCE = 20.0


def test_a_burst_then_one_after_the_other() -> None:
    buckets = Buckets(interval=10.0, most=3)
    for _ in range(3):
        assert buckets.wait(7, NOW) == 0
        buckets.take(7, NOW)
    assert buckets.wait(7, NOW) == pytest.approx(10, abs=1e-3)
    assert buckets.wait(7, NOW + 4) == pytest.approx(6, abs=1e-3)
    assert buckets.wait(7, NOW + 10) == 0
    buckets.take(7, NOW + 10)
    assert buckets.wait(7, NOW + 10) == pytest.approx(10, abs=1e-3)
    assert buckets.wait(7, NOW + 40) == 0
    assert buckets.debt(7, NOW + 41) == 0


def test_a_rest_gives_no_more_than_a_full_bucket() -> None:
    buckets = Buckets(interval=1.0, most=2)
    buckets.take(7, NOW)
    later = NOW + 1_000_000
    buckets.take(7, later)
    buckets.take(7, later)
    assert buckets.wait(7, later) > 0


def test_more_than_a_bucket_holds_is_waited_for() -> None:
    buckets = Buckets(interval=0.001, most=1_000)
    assert buckets.wait(7, NOW) == 0
    assert buckets.take(7, NOW, 5_000) == pytest.approx(5)
    assert buckets.wait(7, NOW) == pytest.approx(4.001, abs=1e-3)


def test_nothing_is_lost_to_the_sums_of_fractions() -> None:
    buckets = Buckets(interval=3600 / 500, most=500)
    for _ in range(500):
        assert buckets.wait(7, NOW + 123_456_789.1) == 0
        buckets.take(7, NOW + 123_456_789.1)
    assert buckets.wait(7, NOW + 123_456_789.1) > 7


def test_two_in_one_place_do_not_share_a_limit() -> None:
    buckets = Buckets(interval=10.0, most=1)
    here, there = 7, 7 + SETS
    buckets.take(here, NOW)
    assert buckets.wait(there, NOW) == 0
    buckets.take(there, NOW)
    assert buckets.wait(here, NOW) > 0
    buckets.forget(here)
    assert buckets.wait(here, NOW) == 0
    assert buckets.wait(there, NOW) > 0


def test_the_fullest_bucket_makes_room_and_strangers_begin_with_nothing() -> None:
    buckets = Buckets(interval=1.0, most=10)
    marks = [7 + SETS * i for i in range(WAYS + 1)]
    for many, mark in enumerate(marks[:WAYS], start=2):
        buckets.take(mark, NOW, many)
    assert buckets.take(marks[WAYS], NOW) == pytest.approx(1), "not the time of whom it displaced"
    assert buckets.debt(marks[0], NOW) == 0, "the fullest"
    assert [buckets.debt(mark, NOW) for mark in marks[1:WAYS]] == pytest.approx([3, 4, 5])


def test_a_flood_of_strangers_does_not_free_one_who_is_locked_out() -> None:
    buckets = Buckets(interval=60.0, most=5)
    for _ in range(5):
        buckets.take(7, NOW)
    for stranger in range(2 * ROWS):
        buckets.take(8 + stranger * 2_654_435_761, NOW)
    assert buckets.wait(7, NOW) > 0


def _child(buckets: Buckets, go: int, done: int, many: int) -> None:
    """In a process of its own: when told so, count what there is room for, and say how many that was."""
    try:
        if not select.select([go], [], [], PATIENCE)[0]:
            os._exit(1)
        taken = 0
        for _ in range(many):
            if not buckets.wait(7, NOW):
                buckets.take(7, NOW)
                taken += 1
        os.write(done, taken.to_bytes(4, "big"))
    finally:
        os._exit(0)


def _forked(buckets: Buckets, many: int, *, at_once: bool) -> list[int]:
    """How many each of two processes was let, one after the other, or at once."""
    children, ends = [], []
    try:
        for _ in range(2):
            go_out, go_in = os.pipe()
            done_out, done_in = os.pipe()
            ends += [go_out, go_in, done_out, done_in]
            pid = os.fork()
            if not pid:
                _child(buckets, go_out, done_in, many)
            children.append((pid, go_in, done_out))
        if at_once:
            for _, go, _ in children:
                os.write(go, b"!")
        counts = []
        for _, go, done in children:
            if not at_once:
                os.write(go, b"!")
            assert select.select([done], [], [], PATIENCE)[0], "a child does not answer"
            counts.append(int.from_bytes(os.read(done, 4), "big"))
        return counts
    finally:
        for end in ends:
            os.close(end)
        for pid, _, _ in children:
            os.waitpid(pid, 0)


def test_processes_share_one_limit() -> None:
    assert _forked(Buckets(interval=1_000.0, most=50), 40, at_once=False) == [40, 10]


def test_processes_at_the_same_instant_pass_it_by_a_part_at_most() -> None:
    buckets = Buckets(interval=1_000.0, most=2_000)
    let = sum(_forked(buckets, 3_000, at_once=True))
    assert 2_000 <= let <= 4_000
    assert buckets.wait(7, NOW) > 0
