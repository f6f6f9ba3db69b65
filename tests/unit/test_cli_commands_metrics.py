"""``fastsmtp metrics`` and ``fastsmtp top`` as commands: what they ask, print, and say when they cannot."""

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastsmtp.cli.main import run
from fastsmtp.control.metrics import MetricService
from fastsmtp.control.place import socket_path
from fastsmtp.control.server import ControlServer
from fastsmtp.telemetry.meter import Meter
from fastsmtp.telemetry.metrics_table import MetricTable
from fastsmtp.telemetry.metrics_text import render
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
def answering(file: str, *, slot: int = 0) -> Iterator[MetricTable]:
    """A worker listens that has taken two messages."""
    table = MetricTable(1_000.0)
    meter = Meter(table.claim(), lambda: 0.0)
    for _ in range(2):
        meter.received(4096, 1, 0.001)
    loop = asyncio.new_event_loop()
    server = ControlServer(socket_path(Path(file).parent / "data", slot), print)
    MetricService(table).register(server)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
        yield table
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


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


def test_a_socket_that_nobody_listens_at_is_passed_over(file: str, capsys: Capture) -> None:
    with answering(file, slot=7):
        socket_path(Path(file).parent / "data", 3).touch()
        assert run(["metrics", "-c", file]) == os.EX_OK
    assert "fastsmtp_messages_received_total 2\n" in capsys.readouterr().out


def test_top_prints_one_picture_where_there_is_no_terminal(file: str, capsys: Capture) -> None:
    with answering(file):
        assert run(["top", "--every", "0.2", "-c", file]) == os.EX_OK
    said = capsys.readouterr()
    assert said.err == ""
    assert "\x1b" not in said.out
    assert [line for line in said.out.splitlines() if line.startswith("message stored")]


def test_top_as_json(file: str, capsys: Capture) -> None:
    with answering(file):
        assert run(["top", "--once", "--json", "--every", "0.2", "-c", file]) == os.EX_OK
    (found,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert found["messages"] == 0.0
    assert found["interval"] >= 0.2


@pytest.mark.parametrize("command", ["metrics", "top"])
class TestWithoutAnAnswer:
    """What cannot be asked is said in one line."""

    def test_no_server(self, command: str, file: str, capsys: Capture) -> None:
        assert run([command, "-c", file]) == os.EX_UNAVAILABLE
        assert capsys.readouterr().err.endswith("/data; name its settings file with -c\n")

    def test_settings_that_are_wrong(self, command: str, tmp_path: Path, capsys: Capture) -> None:
        (tmp_path / "wrong.toml").write_text("workers = 'many'\n")
        assert run([command, "-c", str(tmp_path / "wrong.toml")]) == os.EX_CONFIG
        assert "workers" in capsys.readouterr().err

    def test_a_data_dir_that_is_none(self, command: str, file: str, capsys: Capture) -> None:
        (Path(file).parent / "data" / "control").touch()
        assert run([command, "-c", file]) == os.EX_UNAVAILABLE
        assert "check data_dir" in capsys.readouterr().err

    def test_one_who_knows_no_metrics(self, command: str, file: str, capsys: Capture) -> None:
        loop = asyncio.new_event_loop()
        server = ControlServer(socket_path(Path(file).parent / "data", 0), print)
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
            assert run([command, "-c", file]) == os.EX_TEMPFAIL
            assert "does not know this request" in capsys.readouterr().err
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()

    def test_help_has_examples(self, command: str, capsys: Capture) -> None:
        assert run([command, "--help"]) == os.EX_OK
        assert "Example" in capsys.readouterr().out


def test_top_does_not_ask_all_the_time(file: str, capsys: Capture) -> None:
    assert run(["top", "--every", "0.01", "-c", file]) == os.EX_USAGE
    assert "0.2" in capsys.readouterr().err
