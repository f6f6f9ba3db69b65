"""Whether the server lives and takes mail, by the rows of its workers."""

import pytest

from fastsmtp.telemetry.health import LATE, live, ready
from fastsmtp.telemetry.metrics_table import MetricTable, Row


@pytest.fixture
def table() -> MetricTable:
    return MetricTable(0.0)


def worker(table: MetricTable, beat: int) -> Row:
    row = table.claim()
    row.counters("fastsmtp_workers")[()].set(1)
    row.counters("fastsmtp_worker_beat_seconds")[()].set(beat)
    return row


def test_without_workers_nothing_lives(table: MetricTable) -> None:
    table.claim()  # the master's
    assert live(table, 100.0) == ready(table, 100.0) == ["no worker serves"]


def test_one_worker_that_answers_is_enough(table: MetricTable) -> None:
    worker(table, 50)
    worker(table, 99)
    assert live(table, 100.0) == ready(table, 100.0) == []


def test_workers_that_hang_do_not_live(table: MetricTable) -> None:
    worker(table, 50)
    assert live(table, 50 + LATE) == []
    assert live(table, 80.0) == ready(table, 80.0) == ["no worker has answered for 30 s"]


def test_one_that_drains_does_not_serve(table: MetricTable) -> None:
    worker(table, 99).counters("fastsmtp_workers")[()].set(0)
    assert ready(table, 100.0) == ["no worker serves"]


def test_mail_that_is_put_off_is_not_taken(table: MetricTable) -> None:
    worker(table, 99)
    worker(table, 99).counters("fastsmtp_pressure")["disk_free",].set(1)
    assert live(table, 100.0) == []
    assert ready(table, 100.0) == ["new mail is put off: pressure.disk_free"]
