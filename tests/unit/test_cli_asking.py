"""Asking whichever worker answers, and what is said when none does."""

import os
from pathlib import Path

import pytest

from fastsmtp.cli.asking import ask_any
from fastsmtp.cli.options import Stop, settings_as_they_are
from fastsmtp.control.place import socket_path
from fastsmtp.control.server import ControlServer, Refused
from tests.tools.asked_worker import asked_worker


class Doubler:
    """Answers ``double``, but not for 13."""

    def register(self, server: ControlServer) -> None:
        """See `Service`."""
        server.register("double", int, self.double)

    async def double(self, number: int) -> int:
        """Twice as much."""
        if number == 13:
            raise Refused("failed", "that one brings bad luck")
        return 2 * number


def refused(data_dir: Path, number: int = 1, **more: str) -> Stop:
    with pytest.raises(Stop) as stopped:
        ask_any(data_dir, "double", number, int, **more)
    return stopped.value


def test_whoever_answers(tmp_path: Path) -> None:
    with asked_worker(tmp_path, Doubler(), slot=7):
        socket_path(tmp_path, 3).touch()  # nobody listens there
        assert ask_any(tmp_path, "double", 21, int) == 42


def test_what_a_worker_refuses_is_said(tmp_path: Path) -> None:
    with asked_worker(tmp_path, Doubler()):
        stop = refused(tmp_path, 13)
    assert stop.code == os.EX_TEMPFAIL
    assert stop.lines == (f"{socket_path(tmp_path, 0)}: that one brings bad luck",)


def test_a_server_of_another_version(tmp_path: Path) -> None:
    with asked_worker(tmp_path):
        stop = refused(tmp_path)
    assert stop.code == os.EX_TEMPFAIL
    assert "does not know this request" in stop.lines[0]


def test_no_server(tmp_path: Path) -> None:
    stop = refused(tmp_path, lost="; it is gone")
    assert stop.code == os.EX_UNAVAILABLE
    assert stop.lines == (
        f"no server runs on {tmp_path}; it is gone; start one, or name another settings file with -c",
    )


def test_a_data_dir_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "control").touch()
    stop = refused(tmp_path)
    assert stop.code == os.EX_UNAVAILABLE
    assert stop.lines[0].endswith("Not a directory; check data_dir")


def test_settings_that_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text("workers = 'many'\n")
    with pytest.raises(Stop) as stopped:
        settings_as_they_are(tmp_path / "wrong.toml")
    assert stopped.value.code == os.EX_CONFIG
    assert any("workers" in line for line in stopped.value.lines)
