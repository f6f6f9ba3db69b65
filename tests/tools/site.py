"""A running server with what the tests of crashes and bad input need: clients, mailboxes, kills, memory."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.system.server import RunningServer, alive
from tests.tools.waiting import until
from tests.tools.wire import Wire

ROOT = Path(__file__).parents[2]
USERS = ("alice", "bob", "carol", "dave")


def environment() -> dict[str, str]:
    """Ours, such that a program started elsewhere is that of this checkout."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def resident(pids: list[int]) -> int:
    """Bytes resident in all these processes together."""
    total = 0
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        total += int(status.split("VmRSS:", 1)[1].split()[0]) * 1024
    return total


class Site(RunningServer):
    """A server for `USERS` of example.org, which may be started, stopped and killed again and again.

    ``history`` collects what earlier runs have printed.
    """

    def __init__(self, directory: Path, **settings: Any) -> None:
        mailboxes = {
            "domains": ["example.org"],
            "unknown_users": "reject",
            "users": list(USERS),
            "postmaster": "alice",
            **settings.pop("mailboxes", {}),
        }
        super().__init__(
            directory,
            **{"hostname": "mx.example.org", "shutdown_grace": 3, "mailboxes": mailboxes, **settings},
        )
        self.history = ""

    def start(self, *, wait: bool = True) -> "Site":
        self.history += self.log
        super().start(wait=wait)
        return self

    def everything_said(self) -> str:
        """What all runs have printed."""
        return self.history + self.log

    def wire(self, **options: Any) -> Wire:
        """A new connection to the server."""
        return Wire(self.address, **options)

    def add_account(self, login: str, password: str) -> None:
        """By the command, as an operator does it."""
        subprocess.run(
            [
                sys.executable,
                "-m",
                "fastsmtp",
                "user",
                "add",
                login,
                "--password-stdin",
                "-c",
                str(self.file),
            ],
            env=environment(),
            input=password + "\n",
            text=True,
            capture_output=True,
            timeout=60,
            check=True,
        )

    def maildir(self, user: str, domain: str = "example.org") -> Path:
        """The Maildir of this user."""
        return self.mail / domain / user

    def memory(self) -> int:
        """Bytes resident in all workers together."""
        return resident(self.worker_pids())

    def stop_in_order(self, limit: float = 60.0) -> None:
        """SIGTERM; the server must end with 0, with all its workers, and never have shown a traceback."""
        workers = self.worker_pids()
        code = self.stop(limit=limit)
        assert code == 0, f"ended with {code}:\n{self.log[-3000:]}"
        assert not [pid for pid in workers if alive(pid)], "workers outlive the master"
        said = self.everything_said()
        assert "Traceback" not in said, said[said.index("Traceback") - 500 :][:5000]

    def kill_all(self) -> None:
        """kill -9 for master and workers at once."""
        workers = self.worker_pids()
        self.kill()
        until("all workers are gone", lambda: not any(map(alive, workers)), 30)

    def kill_master_only(self) -> None:
        """kill -9 for the master alone; its workers must then end by themselves."""
        workers = self.kill_master()
        until("the workers follow their master", lambda: not any(map(alive, workers)), 30)

    def kill_worker(self, number: int) -> int:
        """kill -9 for one of the workers that live now; returns its process id."""
        workers = until("a worker lives", self.worker_pids, 30)
        pid = workers[number % len(workers)]
        os.kill(pid, signal.SIGKILL)
        until("the worker is gone", lambda: not alive(pid), 30)
        return pid

    @property
    def runs(self) -> bool:
        """Whether the master lives."""
        return self.process is not None and self.process.poll() is None


@contextlib.contextmanager
def site(directory: Path, **settings: Any) -> Iterator[Site]:
    """A started server, which is stopped in good order when the test has not stopped it itself; after a
    failure nothing of it is left, and the end of its log is shown."""
    server = Site(directory, **settings)
    try:
        server.start()
        yield server
        if server.runs:
            server.stop_in_order()
    finally:
        print(server.everything_said()[-6000:])
        if server.runs:
            server.kill()


@contextlib.contextmanager
def public_folder() -> Iterator[Path]:
    """A temporary directory into which other users than the one that runs the tests can look."""
    with tempfile.TemporaryDirectory(prefix="fastsmtp-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
