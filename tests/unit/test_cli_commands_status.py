"""``fastsmtp status``, `reload`, `drain`, `upgrade`: what is shown of the master's answers, or that none is there."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.cli import master_run
from fastsmtp.cli.commands import drain, reload, status, upgrade
from fastsmtp.cli.main import run
from fastsmtp.control.client import ControlError, NotAllowed, NotThere
from fastsmtp.control.master import Outcome, ProcessStatus, Status

Capture = pytest.CaptureFixture[str]
COMMANDS = {"status": status, "reload": reload, "drain": drain, "upgrade": upgrade}
SERVING = Status(
    version="1.2",
    pid=10,
    up=3700.4,
    state="reloading",
    generation=3,
    listeners=["127.0.0.1:25 (smtp)"],
    processes=[
        ProcessStatus("worker 4", 11, 3, "serving", 1, 2, 0.3),
        ProcessStatus("worker 2", 12, 2, "draining", 0, 0, 30.0),
        ProcessStatus("web", 13, 3, "serving", 0, -1, 0.1),
    ],
    waiting=1,
    last=Outcome(False, ["accept: only a restart changes it"], 3, 1000.0),
)


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A settings file of a server that does not run."""
    path = tmp_path / "fastsmtp.toml"
    path.write_text(
        f'hostname = "mx.example.org"\ndata_dir = "{tmp_path}/data"\n[[listeners]]\naddress = "127.0.0.1:0"\n'
        f'[mailboxes]\ndomains = ["example.org"]\nusers = ["alice"]\npath = "{tmp_path}/mail/{{user}}"\n'
    )
    return str(path)


def answering(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    """The master answers so."""

    async def ask(path: Path, verb: str, argument: object, form: Any, *, patience: float = 0.0) -> Any:
        if path.name != "master":
            raise NotThere("no helper listens there")
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("fastsmtp.control.client.ask", ask)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_without_a_server(file: str, capsys: Capture, name: str) -> None:
    assert COMMANDS[name].command.name == name
    assert run([name, "-c", file]) == os.EX_UNAVAILABLE
    assert "no server runs on " in capsys.readouterr().err


def test_settings_that_are_wrong_are_not_sent(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "wrong.toml").write_text("hostname = 1")
    assert run(["reload", "-c", str(tmp_path / "wrong.toml")]) == os.EX_CONFIG
    assert "hostname" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"), [(NotAllowed("denied"), os.EX_NOPERM), (ControlError("no answer"), os.EX_TEMPFAIL)]
)
def test_a_master_that_does_not_answer(
    file: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    answering(monkeypatch, error)
    assert run(["status", "-c", file]) == code
    assert str(error) in capsys.readouterr().err


def test_a_status_is_shown(file: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, SERVING)
    assert run(["status", "-c", file]) == os.EX_OK
    assert capsys.readouterr().out.splitlines() == [
        "fastsmtp 1.2, pid 10, up 1h1m40s, reloading, generation 3",
        "listening on 127.0.0.1:25 (smtp)",
        "1 message in the queue",
        "worker 4: pid 11, generation 3, serving, 1 session, 2 waiting",
        "worker 2: pid 12, generation 2, draining, 0 sessions, 0 waiting, SILENT for 30 s",
        "web: pid 13, generation 3, serving",
        "last change: REFUSED",
        "  accept: only a restart changes it",
    ]
    assert run(["status", "-c", file, "--json"]) == os.EX_OK
    shown = json.loads(capsys.readouterr().out)
    assert shown["processes"][1]["state"] == "draining"
    assert shown["last"]["done"] is False


def test_what_came_of_it(file: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, Outcome(True, ["workers: 1 -> 2"], 4))
    assert run(["reload", "-c", file]) == os.EX_OK
    assert capsys.readouterr().out == "workers: 1 -> 2\nreloaded: generation 4\n"
    answering(monkeypatch, Outcome(False, ["user: only a restart changes it"], 4))
    assert run(["reload", "-c", file]) == os.EX_CONFIG
    assert "nothing was changed" in capsys.readouterr().err
    assert run(["upgrade", "-c", file, "--json"]) == os.EX_CONFIG
    assert json.loads(capsys.readouterr().out)["lines"] == ["user: only a restart changes it"]
    assert master_run.ask_master(Path(file), "status", Outcome).generation == 4
