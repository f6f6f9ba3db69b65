"""Rows of shared memory: whose they are, what stays of the dead, and notes."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from fastsmtp.telemetry import metrics_table
from fastsmtp.telemetry.metrics_table import NOTE_BYTES, MetricTable, Row

MESSAGES, WORKERS = "fastsmtp_messages_received", "fastsmtp_workers"


@contextmanager
def process(work: Callable[[], None]) -> Iterator[None]:
    """Another process does ``work``, and lives until the end."""
    ready, said = os.pipe()
    end, ended = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(ended)
        work()
        os.write(said, b".")
        os.read(end, 1)
        os._exit(0)
    os.close(said)
    os.close(end)
    assert os.read(ready, 1) == b".", "the process has failed"
    try:
        yield
    finally:
        os.close(ready)
        os.close(ended)
        os.waitpid(pid, 0)


def count(row: Row, name: str, many: int) -> None:
    row.counters(name)[()].add(many)


def total(table: MetricTable, name: str, *, living: bool = False) -> int:
    return sum(row.counters(name)[()].get() for row, alive in table.rows() if alive or not living)


def test_each_process_has_a_row_of_its_own() -> None:
    table = MetricTable(0.0)
    count(table.claim(), MESSAGES, 1)
    with (
        process(lambda: count(table.claim(), MESSAGES, 10)),
        process(lambda: count(table.claim(), MESSAGES, 100)),
    ):
        assert [(row.counters(MESSAGES)[()].get(), alive) for row, alive in table.rows()] == [
            (1, True),
            (10, True),
            (100, True),
        ]


def test_what_the_dead_have_counted_stays_and_their_gauges_are_not_read() -> None:
    table = MetricTable(0.0)

    def work() -> None:
        row = table.claim()
        count(row, MESSAGES, 10)
        count(row, WORKERS, 1)

    with process(work):
        assert total(table, WORKERS, living=True) == 1
    assert total(table, WORKERS, living=True) == 0
    assert total(table, MESSAGES) == 10


def test_the_next_process_goes_on_where_a_dead_one_stopped() -> None:
    table = MetricTable(0.0)

    def work() -> None:
        row = table.claim()
        count(row, MESSAGES, 10)
        count(row, WORKERS, 1)
        row.write_note(b"sites")

    for _ in range(3):
        with process(work):
            pass
    row = table.claim()
    assert (row.counters(MESSAGES)[()].get(), row.counters(WORKERS)[()].get()) == (30, 0)
    assert row.read_note() == b""
    assert len(list(table.rows())) == 1


def test_one_that_died_before_it_counted_hides_nobody() -> None:
    table = MetricTable(0.0)
    with process(lambda: table.claim().forget_gauges()):
        count(table.claim(), MESSAGES, 5)
    assert total(table, MESSAGES) == 5


def test_the_row_of_a_forefather_is_not_ones_own() -> None:
    table = MetricTable(0.0)
    count(table.claim(), MESSAGES, 1)
    with process(lambda: count(table.claim(), MESSAGES, 10)):
        assert [row.counters(MESSAGES)[()].get() for row, _ in table.rows()] == [1, 10]


def test_processes_beyond_the_rows_share_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_table, "ROWS", 2)
    table = MetricTable(0.0)
    for many in (1, 10, 100):
        count(table.claim(), MESSAGES, many)
    assert [row.counters(MESSAGES)[()].get() for row, _ in table.rows()] == [1, 110]


def test_a_note_is_whole_or_not_there() -> None:
    row = Row.alone()
    assert row.read_note() == b""
    row.write_note(b"a longer note")
    row.write_note(b"short")
    assert row.read_note() == b"short"
    row.write_note(b"x" * NOTE_BYTES)
    assert row.read_note() == b"x" * NOTE_BYTES
    with pytest.raises(ValueError, match="at most"):
        row.write_note(b"x" * (NOTE_BYTES + 1))


def test_a_note_that_is_being_written_is_not_read() -> None:
    memory = memoryview(bytearray(metrics_table._ROW))
    row = Row(memory)
    row.write_note(b"first note")
    at = bytes(memory).index(b"first note")
    memory[at : at + 3] = b"sec"
    assert row.read_note() == b""


def test_nothing_is_counted_under_a_name_that_is_not_declared() -> None:
    with pytest.raises(KeyError):
        Row.alone().counters("fastsmtp_nothing")
