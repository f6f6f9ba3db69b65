"""``fastsmtp top`` without a terminal; with one it is looked at in tests/system/test_metrics.py."""

import json
import os
from pathlib import Path

import pytest

from fastsmtp.cli.commands.top import Pictures
from fastsmtp.cli.main import run
from tests.unit.test_cli_commands_metrics import Capture, answering, file

__all__ = ["file"]


def test_one_picture_where_there_is_no_terminal(file: str, capsys: Capture) -> None:
    with answering(file):
        assert run(["top", "--every", "0.2", "-c", file]) == os.EX_OK
    said = capsys.readouterr()
    assert said.err == ""
    assert "\x1b" not in said.out
    assert [line for line in said.out.splitlines() if line.startswith("message stored")]


def test_json(file: str, capsys: Capture) -> None:
    with answering(file):
        assert run(["top", "--once", "--json", "--every", "0.2", "-c", file]) == os.EX_OK
    (found,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert found["messages"] == 0.0
    assert found["interval"] >= 0.2


def test_a_picture_is_of_what_came_since_the_last(file: str) -> None:
    with answering(file) as table:
        pictures = Pictures(Path(file).parent / "data")
        table.claim().counters("fastsmtp_messages_received")[()].add(50)
        first, second = pictures.next(), pictures.next()
    assert first.messages * first.interval == pytest.approx(50)
    assert second.messages == 0


def test_it_does_not_ask_all_the_time(file: str, capsys: Capture) -> None:
    assert run(["top", "--every", "0.01", "-c", file]) == os.EX_USAGE
    assert "0.2" in capsys.readouterr().err


def test_help_has_examples(capsys: Capture) -> None:
    assert run(["top", "--help"]) == os.EX_OK
    assert "Example" in capsys.readouterr().out
