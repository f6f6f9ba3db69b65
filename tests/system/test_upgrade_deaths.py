"""Processes that are killed in the middle of an upgrade: somebody serves all the same, and can be upgraded again."""

import asyncio
import os
import re
import signal
import smtplib
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from fastsmtp.control.client import ask
from fastsmtp.control.master import Outcome, master_path
from tests.system.server import RunningServer, alive, free_port
from tests.system.test_generations import command, end, master_of, upgrade
from tests.tools.waiting import until

HOOK = {
    "name": "a",
    "url": "http://127.0.0.1:1/",
    "secret": "hook-secret-0123456789",
    "events": ["delivered"],
}


def children(pid: int) -> list[int]:
    """Those of a process that live."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [child for child in map(int, text.split()) if alive(child)]


def greets(server: RunningServer) -> bool:
    """Whether it serves."""
    try:
        with smtplib.SMTP(*server.address, timeout=10) as client:
            return client.ehlo()[0] == 250
    except (OSError, smtplib.SMTPException):
        return False


def successor_of(server: RunningServer, before: list[int]) -> int:
    """The pid of the new master, which the old one has besides the processes from ``before``."""
    return until(
        "a new master",
        lambda: next(iter(set(children(server.running.pid)) - set(before)), 0),
        30,
        pause=0.001,
    )


def test_a_new_master_that_dies_when_it_is_ready_is_not_followed(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        old = server.running
        before = children(old.pid)
        os.kill(old.pid, signal.SIGUSR2)
        pid = successor_of(server, before)
        os.kill(old.pid, signal.SIGSTOP)
        # It has told the old one by the time that this is in the log.
        until(
            "its workers are ready",
            lambda: len(re.findall(rf"\[{pid}/master\] event worker \d+ \(pid \d+\) ready", server.log)) == 2,
            30,
        )
        os.kill(pid, signal.SIGKILL)
        until("it has ended", lambda: not alive(pid), 30)
        os.kill(old.pid, signal.SIGCONT)
        server.wait_log("upgrade refused: the new master ended by signal 9 before it could serve")
        assert greets(server)
        assert old.poll() is None
        upgrade(server)
        assert old.wait(60) == 0
        assert greets(server)
        end(server)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_process_of_the_new_master_that_dies(tmp_path: Path, which: int) -> None:
    """Two workers and the one for HTTP and webhooks: it is given up or goes on, by when that was."""
    http = {"address": f"127.0.0.1:{free_port()}"}
    with RunningServer(tmp_path, http=http, webhooks=[HOOK]) as server:
        old = server.running.pid
        before = children(old)
        os.kill(old, signal.SIGUSR2)
        new = successor_of(server, before)
        found = until("its processes", lambda: sorted(children(new))[which : which + 1], 30, pause=0.001)
        with suppress(ProcessLookupError):
            os.kill(found[0], signal.SIGKILL)
        server.wait_log("upgrade refused: |upgrade: the new master, pid")
        until("somebody serves", lambda: greets(server), 30)
        until("webhooks are told of", lambda: "webhook a: " in command(server, "status").stdout, 30)
        if master_of(server) == old:
            upgrade(server)
            until("somebody serves", lambda: greets(server), 30)
        end(server)


def test_a_reload_that_is_asked_for_during_an_upgrade_is_answered(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        os.kill(server.running.pid, signal.SIGUSR2)
        server.wait_log("upgrade: starting")
        outcome: Outcome = asyncio.run(ask(master_path(server.data), "reload", None, Outcome))
        # Who comes late asks the new master, which does it.
        assert outcome.done or "try again" in outcome.lines[0]
        until("the other one has ended", lambda: master_of(server) != server.running.pid, 40)
        until("somebody serves", lambda: greets(server), 30)
        end(server)


BROKEN = """
import pathlib, sys
sys.path.insert(0, {root!r})
if pathlib.Path({mark!r}).exists():
    exec(pathlib.Path({mark!r}).read_text())
from fastsmtp.cli.main import main
sys.argv[0] = "fastsmtp"
sys.exit(main())
"""

FAULTS = {
    "it is no Python": ("def", "ended by exit code 1"),
    "it ends": ("sys.exit(0)", "ended by exit code 0"),
    "it dies": ("import os; os.abort()", "ended by signal 6"),
    "its workers cannot start": (
        "from fastsmtp.process import worker\n"
        "async def prepare(self, loop): raise ZeroDivisionError\n"
        "worker.Worker.prepare = prepare",
        "worker",
    ),
    "its HTTP process cannot start": (
        "from fastsmtp.process import web\n"
        "async def start(self, sockets): raise ZeroDivisionError\n"
        "web.WebServices.start = start",
        "web",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_program_that_cannot_start_changes_nothing(tmp_path: Path, fault: str) -> None:
    mark, script = tmp_path / "fault.py", tmp_path / "program.py"
    root = str(Path(__file__).parent.parent.parent)
    script.write_text(BROKEN.format(root=root, mark=str(mark)))
    program = [sys.executable, str(script), "serve"]
    http = {"address": f"127.0.0.1:{free_port()}"}
    with RunningServer(tmp_path / "server", program=program, http=http, webhooks=[HOOK]) as server:
        code, why = FAULTS[fault]
        mark.write_text(code)
        refused: subprocess.CompletedProcess[str] = command(server, "upgrade")
        assert refused.returncode == os.EX_CONFIG, refused
        assert why in refused.stderr
        assert "the server runs on as it was" in refused.stderr
        assert master_of(server) == server.running.pid
        assert greets(server)
        until("webhooks are told of", lambda: "webhook a: " in command(server, "status").stdout, 30)
        mark.unlink()
        assert command(server, "upgrade").returncode == 0
        until("somebody serves", lambda: greets(server), 30)
        end(server)
