"""``fastsmtp limits`` asks a running server, and says in one line what it cannot do."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastsmtp.cli.main import run
from fastsmtp.control.limits import LimitService
from fastsmtp.limits.counter import Counter, LimitTable
from fastsmtp.limits.standing import LimitDesk
from tests.fakes.clock import FakeClock
from tests.tools.asked_worker import asked_worker
from tests.unit.test_limits_counter import IP, rule
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
def answering(file: str) -> Iterator[Counter]:
    """A worker with two rules listens; its limits are for the test to use up."""
    limits = LimitTable((rule("messages"), rule("messages", "account")), FakeClock()).worker(lambda ip: False)
    with asked_worker(Path(file).parent / "data", LimitService(LimitDesk(limits))):
        yield limits


def test_ls_explain_and_reset(file: str, capsys: Capture) -> None:
    with answering(file) as limits:
        assert run(["limits", "ls", "-c", file]) == os.EX_OK
        said = capsys.readouterr()
        assert (said.out, said.err) == ("", "nobody was refused by a rule lately\n")
        for _ in range(3):
            limits.mail(IP, "", "")
        assert run(["limits", "ls", "-c", file]) == os.EX_OK
        line = f"messages of address {IP}: 2/1m, 0 of 2 left, the next in 30s, all in 1m; refused once, "
        assert capsys.readouterr().out.startswith(line)
        assert run(["limits", "explain", IP, "-c", file]) == os.EX_OK
        assert capsys.readouterr().out.startswith(line)
        assert run(["limits", "reset", IP, "-c", file]) == os.EX_OK
        assert capsys.readouterr().out.startswith(f"forgotten: {line}")
        assert limits.mail(IP, "", "") is None
        assert run(["limits", "explain", IP, "-c", file]) == os.EX_OK
        assert capsys.readouterr().out == f"messages of address {IP}: 2/1m, 1 of 2 left, all in 30s\n"


def test_json(file: str, capsys: Capture) -> None:
    with answering(file) as limits:
        for _ in range(3):
            limits.mail("192.0.2.9", "Alice@example.org", "")
        assert run(["limits", "ls", "--json", "-c", file]) == os.EX_OK
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [(row["count"], row["per"], row["key"], row["left"]) for row in rows] == [
            ("messages", "ip", "192.0.2.9", 0)
        ]
        assert run(["limits", "explain", "alice@example.org", "--json", "-c", file]) == os.EX_OK
        (row,) = map(json.loads, capsys.readouterr().out.splitlines())
        assert (row["per"], row["key"], row["refused"], row["refused_at"]) == (
            "account",
            "alice@example.org",
            0,
            None,
        )


def test_nothing_is_counted_of_it(file: str, capsys: Capture) -> None:
    with answering(file):
        assert run(["limits", "reset", "nobody@example.org", "-c", file]) == os.EX_NOINPUT
        assert capsys.readouterr().err == "nothing is counted of nobody@example.org\n"


def test_without_a_server(file: str, capsys: Capture) -> None:
    assert run(["limits", "ls", "-c", file]) == os.EX_UNAVAILABLE
    assert "no server runs on" in capsys.readouterr().err


def test_an_endless_key_is_not_sent(file: str, capsys: Capture) -> None:
    assert run(["limits", "explain", "x" * 401, "-c", file]) == os.EX_USAGE
    assert "KEY is an address" in capsys.readouterr().err


@pytest.mark.parametrize("name", [[], ["ls"], ["explain"], ["reset"]])
def test_help_has_examples(name: list[str], capsys: Capture) -> None:
    assert run(["limits", *name, "--help"]) == os.EX_OK
    assert "Example" in capsys.readouterr().out
