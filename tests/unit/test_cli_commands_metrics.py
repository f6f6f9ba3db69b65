"""``fastsmtp metrics``: what it asks and prints."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastsmtp.cli.main import run
from fastsmtp.control.metrics import MetricService
from fastsmtp.telemetry.meter import Meter
from fastsmtp.telemetry.metrics_table import MetricTable
from fastsmtp.telemetry.metrics_text import render
from tests.tools.asked_worker import asked_worker
from tests.unit.test_process_settings import small

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Settings of a server in this directory."""
    path = tmp_path / "fastsmtp.toml"
    path.write_text(small('data_dir = "data"'))
    (tmp_path / "data").mkdir()
    return str(path)


@contextmanager
def answering(file: str) -> Iterator[MetricTable]:
    """A worker listens that has taken two messages."""
    table = MetricTable(1_000.0)
    meter = Meter(table.claim(), lambda: 0.0)
    for _ in range(2):
        meter.received(4096, 1, 0.001)
    with asked_worker(Path(file).parent / "data", MetricService(table)):
        yield table


def test_the_text_goes_out_as_it_is(file: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with answering(file) as table:
        assert run(["metrics", "-c", file]) == os.EX_OK
        assert capfdbinary.readouterr().out == render(table)
        assert run(["metrics", "--openmetrics", "-c", file]) == os.EX_OK
        assert capfdbinary.readouterr().out == render(table, openmetrics=True)


def test_json_is_an_object_a_line(file: str, capsys: Capture) -> None:
    with answering(file):
        assert run(["metrics", "--json", "-c", file]) == os.EX_OK
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"name": "fastsmtp_messages_received_total", "labels": {}, "value": 2.0} in rows
    assert {
        "name": "fastsmtp_session_stage_seconds_bucket",
        "labels": {"stage": "commit", "le": "0.001"},
        "value": 2.0,
    } in rows


def test_help_has_examples(capsys: Capture) -> None:
    assert run(["metrics", "--help"]) == os.EX_OK
    assert "Example" in capsys.readouterr().out
