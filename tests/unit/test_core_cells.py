"""Counters in shared memory: compiled and plain."""

import importlib
import mmap
import os
import threading
from typing import Any

import pytest

from fastsmtp._core import _py_cells

IMPLEMENTATIONS: dict[str, Any] = {"py": _py_cells, "c": importlib.import_module("fastsmtp._core.cells")}


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def cells(request: pytest.FixtureRequest) -> Any:
    return IMPLEMENTATIONS[request.param]


def values(memory: bytearray) -> list[int]:
    return memoryview(memory).cast("q").tolist()


def test_a_counter_counts_in_the_memory_it_was_given(cells: Any) -> None:
    memory = bytearray(24)
    counter = cells.Counter(memoryview(memory)[8:16])
    counter.add()
    counter.add(40)
    counter.add(-1)
    assert counter.get() == 40
    assert values(memory) == [0, 40, 0]
    counter.set(7)
    assert values(memory) == [0, 7, 0]


def test_a_histogram_has_a_cell_for_each_bound_one_above_and_the_sum(cells: Any) -> None:
    memory = bytearray(32)
    histogram = cells.Histogram(memory, (0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 1.0, 2.0):
        histogram.observe(value)
    assert values(memory) == [2, 2, 1, 3_650_000]
    assert cells.MICROS == 1_000_000


@pytest.mark.parametrize("value", [-1.0, float("nan"), 0.0])
def test_what_is_no_time_counts_as_none(cells: Any, value: float) -> None:
    memory = bytearray(24)
    cells.Histogram(memory, (0.1,)).observe(value)
    assert values(memory) == [1, 0, 0]


def test_the_sum_does_not_run_over(cells: Any) -> None:
    memory = bytearray(24)
    cells.Histogram(memory, (0.1,)).observe(float("inf"))
    assert values(memory) == [0, 1, 10**15]


@pytest.mark.parametrize("size", [0, 7, 16])
def test_memory_of_another_size_is_refused(cells: Any, size: int) -> None:
    with pytest.raises(ValueError, match="8 bytes"):
        cells.Counter(bytearray(size))
    with pytest.raises(ValueError, match="8 bytes"):
        cells.Histogram(bytearray(size), (0.1, 1.0))


def test_what_cannot_be_written_is_refused(cells: Any) -> None:
    with pytest.raises((BufferError, TypeError)):
        cells.Counter(bytes(8)).add()


def test_one_that_was_never_told_where_does_no_harm() -> None:
    """A type of C can be made without `__init__`."""
    made = IMPLEMENTATIONS["c"]
    made.Counter.__new__(made.Counter).add()
    made.Histogram.__new__(made.Histogram).observe(1.0)
    counter = made.Counter(bytearray(8))
    with pytest.raises(RuntimeError):
        counter.__init__(bytearray(8))


def test_threads_lose_no_addition(cells: Any) -> None:
    memory = bytearray(24)
    counter, histogram = cells.Counter(memoryview(memory)[:8]), cells.Histogram(memoryview(memory)[8:], ())

    def work() -> None:
        for _ in range(5_000):
            counter.add()
            histogram.observe(0.000001)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values(memory) == [20_000, 20_000, 20_000]


def test_processes_lose_no_addition() -> None:
    memory = memoryview(mmap.mmap(-1, 8))
    counter = IMPLEMENTATIONS["c"].Counter(memory)
    pids = []
    for _ in range(2):
        pid = os.fork()
        if not pid:
            for _ in range(100_000):
                counter.add()
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0
    assert counter.get() == 200_000
