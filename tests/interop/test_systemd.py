"""systemd's own tools read our units and start the server, where no systemd runs."""

import os
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import require_program
from tests.system.server import RunningServer, wait_until

UNITS = Path(__file__).resolve().parents[2] / "conf/systemd"
OK = 40
"""Ten times the exposure from which systemd's word is "MEDIUM"."""


def analyze(*arguments: str | Path) -> str:
    """What systemd-analyze says; it must be content."""
    done = subprocess.run(
        [require_program("systemd-analyze"), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Our units, with a command that is there."""
    place = tmp_path / "units"
    place.mkdir()
    for name in ("fastsmtp.service", "fastsmtp.socket"):
        text = (UNITS / name).read_text()
        (place / name).write_text(text.replace("/usr/bin/fastsmtp", str(shutil.which("true"))))
    return place


def test_the_units_are_understood(units: Path) -> None:
    assert analyze("verify", units / "fastsmtp.service", units / "fastsmtp.socket") == ""


@pytest.mark.parametrize("unprivileged", [False, True])
def test_the_sandbox_is_ok(units: Path, unprivileged: bool) -> None:
    if unprivileged:
        (units / "fastsmtp.service.d").mkdir()
        shutil.copy(UNITS / "unprivileged.conf", units / "fastsmtp.service.d")
        assert analyze("verify", units / "fastsmtp.service") == ""
    said = analyze(
        "security", "--offline=true", f"--threshold={OK}", "--no-pager", units / "fastsmtp.service"
    )
    assert re.search(r"exposure level for fastsmtp.service: \S+ (OK|SAFE|PERFECT)", said)


class Manager:
    """Hears what a service tells by NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.setblocking(False)

    def wait(self, word: str) -> None:
        """Until it was heard, after what was waited for before."""

        def came() -> bool:
            try:
                while True:
                    self.heard += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                pass
            return word in self.heard

        try:
            wait_until(came, word)
        except AssertionError as error:
            raise AssertionError(f"{error}; heard {self.heard}") from None
        del self.heard[: self.heard.index(word) + 1]

    def close(self) -> None:
        self._socket.close()


@contextmanager
def activated(folder: Path, manager: Manager, **environment: str) -> Iterator[RunningServer]:
    """A server that systemd's tool starts when the first client comes."""
    server = RunningServer(folder)
    tool = [require_program("systemd-socket-activate"), "-l", f"127.0.0.1:{server.port}", "-E", "PYTHONPATH"]
    for name, value in {"NOTIFY_SOCKET": manager.path, **environment}.items():
        tool += ["-E", f"{name}={value}"]
    server.program = [*tool, sys.executable, "-m", "fastsmtp", "serve"]
    server.start(wait=False)
    try:
        server.wait_log("Listening on")
        yield server
    finally:
        server.kill()
        manager.close()


def test_a_server_that_its_first_client_starts(tmp_path: Path) -> None:
    """Who comes before there is a server waits for it; the manager is told of each step."""
    manager = Manager(tmp_path / "notify")
    with activated(tmp_path / "server", manager) as server:
        with smtplib.SMTP(*server.address, timeout=60) as client:
            manager.wait("READY=1")
            client.sendmail("a@far.example", "alice@test.example", "Subject: x\r\n\r\nx\r\n")
            new = server.mail / "test.example/alice/new"
            wait_until(lambda: len(list(new.glob("*"))) == 1, "it is delivered")
            os.kill(server.running.pid, signal.SIGHUP)
            manager.wait("RELOADING=1")
            manager.wait("READY=1")
            client.sendmail("a@far.example", "alice@test.example", "Subject: x\r\n\r\nx\r\n")
        os.kill(server.running.pid, signal.SIGTERM)
        manager.wait("STOPPING=1")
        assert server.wait() == 0


def test_the_watchdog_hears_while_workers_live(tmp_path: Path) -> None:
    manager = Manager(tmp_path / "notify")
    with activated(tmp_path / "server", manager, WATCHDOG_USEC="2000000") as server:
        with server.connect(60):
            manager.wait("READY=1")
        manager.wait("WATCHDOG=1")
        manager.wait("WATCHDOG=1")
