"""The window on the index of due times gives what the index itself would give."""

import bisect
from collections.abc import Iterator

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fastsmtp.queue.plan.window import DueWindow, Entry
from tests.tools.fuzzing import fuzzed


def filled(entries: list[Entry], size: int) -> DueWindow:
    window = DueWindow(size)
    fill(window, entries)
    return window


def fill(window: DueWindow, index: list[Entry]) -> None:
    while (start := window.wants()) is not None:
        window.refill(entry for entry in index if entry >= start)


def test_gives_in_the_order_of_due_times() -> None:
    window = filled([(1.0, "b"), (2.0, "a"), (2.0, "c")], 8)
    assert window.next_at() == 1.0
    assert window.due(0.9) is None
    assert [window.due(2.0) for _ in range(4)] == ["b", "a", "c", None]
    assert window.next_at() is None


def test_holds_no_more_than_it_should_and_reads_no_further_than_it_must() -> None:
    read: list[int] = []

    def index() -> Iterator[Entry]:
        for i in range(1_000_000):
            read.append(i)
            yield float(i), "x"

    window = DueWindow(100)
    window.refill(index())
    assert len(window) == 100
    assert len(read) == 101
    assert window.wants() is None
    for _ in range(51):
        window.due(1e9)
    assert window.wants() == (100.0, "x")


def test_later_ones_are_left_to_the_index() -> None:
    window = filled([(float(i), "x") for i in range(100)], 10)
    window.add(3.5, "sooner")
    window.add(50.5, "later")
    assert len(window) == 11
    assert [window.due(100) for _ in range(5)] == ["x", "x", "x", "x", "sooner"]


def test_a_flood_of_sooner_ones_pushes_the_later_ones_out() -> None:
    window = DueWindow(100)
    window.refill([])
    assert window.wants() is None, "all of the index is here"
    for i in range(1000, 0, -1):
        window.add(float(i), "x")
        assert len(window) <= 200
    assert window.next_at() == 1.0
    index = [(float(i), "x") for i in range(1, 1001)]
    for i in range(1, 1001):
        assert window.next_at() == i, "without a gap"
        window.due(1e9)
        fill(window, index)
    assert window.next_at() is None


def test_the_entry_at_the_end_is_the_indexs() -> None:
    window = filled([(float(i), "x") for i in range(100)], 10)
    window.add(10.0, "x")
    assert len(window) == 10


def test_what_was_removed_is_not_given() -> None:
    window = filled([(float(i), "x") for i in range(1000)], 2000)
    for i in range(1, 1000):
        window.remove(float(i), "x")
    window.remove(5000.0, "never there")
    assert len(window) == 1
    assert len(window._heap) < 100, "nor kept"
    assert [window.due(1e9) for _ in range(2)] == ["x", None]


def test_an_entry_that_was_read_and_added_is_given_once() -> None:
    window = filled([(1.0, "x")], 8)
    window.add(1.0, "x")
    assert [window.due(1.0) for _ in range(2)] == ["x", None]


TIMES = st.integers(0, 60).map(float)


class WindowAgainstIndex(RuleBasedStateMachine):
    """``index`` is a plain sorted list of what is on disk and was not given yet."""

    def __init__(self) -> None:
        super().__init__()
        self.window = DueWindow(4)
        self.index: list[Entry] = []
        self.number = 0

    @rule(times=st.lists(TIMES, min_size=1, max_size=6))
    def written(self, times: list[float]) -> None:
        for at in times:
            self.number += 1
            entry = (at, f"id{self.number % 7}.{self.number}")
            bisect.insort(self.index, entry)
            self.window.add(*entry)

    @rule(data=st.data())
    def removed(self, data: st.DataObject) -> None:
        if self.index:
            entry = data.draw(st.sampled_from(self.index))
            self.index.remove(entry)
            self.window.remove(*entry)

    @rule(data=st.data(), at=TIMES)
    def moved(self, data: st.DataObject, at: float) -> None:
        if self.index:
            old = data.draw(st.sampled_from(self.index))
            self.index.remove(old)
            self.window.remove(*old)
            bisect.insort(self.index, (at, old[1]))
            self.window.add(at, old[1])

    @rule(now=TIMES)
    def asked(self, now: float) -> None:
        fill(self.window, self.index)
        due = self.window.due(now)
        expected = self.index[0] if self.index and self.index[0][0] <= now else None
        assert due == (expected[1] if expected else None)
        if expected:
            self.index.remove(expected)

    @invariant()
    def is_bounded_and_knows_when(self) -> None:
        assert len(self.window) <= 8
        if self.window.wants() is None:
            assert self.window.next_at() == (self.index[0][0] if self.index else None)


WindowAgainstIndex.TestCase.settings = settings(fuzzed, stateful_step_count=60)
test_window_against_index = WindowAgainstIndex.TestCase
