"""``fastsmtp queue`` and the running server: what waits is found, held, tried, returned and removed; also when
workers die, and when the server does not run."""

import json
import os
import signal
import smtplib
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.cli.main import run
from tests.system.server import RunningServer, free_port, wait_until

Capture = pytest.CaptureFixture[str]


class Queue:
    """The commands on a server's queue."""

    def __init__(self, server: RunningServer, capsys: Capture) -> None:
        self.server = server
        self.capsys = capsys
        self.err = ""

    def __call__(self, *arguments: str, code: int = os.EX_OK) -> str:
        """What a command prints."""
        got = run(["queue", *arguments, "-c", str(self.server.file)])
        out, self.err = self.capsys.readouterr()
        assert got == code, f"{got}: {out}{self.err}"
        return out

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        """Messages."""
        return [json.loads(line) for line in self("ls", "--all", "--json", *arguments).splitlines()]

    def sites(self) -> list[dict[str, Any]]:
        """Sites."""
        return [json.loads(line) for line in self("sites", "--json").splitlines()]


def server_of(tmp_path: Path, port: int) -> RunningServer:
    """A server whose mail for others goes to ``port``, seldom."""
    return RunningServer(
        tmp_path,
        relay={"networks": ["127.0.0.0/8"]},
        routes=[{"match": "*", "to": f"127.0.0.1:{port}"}],
        queue={"retry": ["1h"]},
    )


def send(server: RunningServer, count: int, domain: str = "far.test") -> None:
    """So many messages, each over a connection of its own: to both workers."""
    for number in range(count):
        with smtplib.SMTP(*server.address) as client:
            client.sendmail("alice@test.example", [f"u{number}@{domain}"], f"Subject: s{number}\r\n\r\nx\r\n")


def reachable(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def swallowing(port: int, *options: str) -> Iterator[None]:
    """Somebody takes all mail at ``port``."""
    listen = ["--listen", f"127.0.0.1:{port}", "--processes", "1"]
    command = [sys.executable, "-m", "fastsmtp", "sink", *listen, *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def test_a_queue_for_a_host_that_is_down(tmp_path: Path, capsys: Capture) -> None:
    port = free_port()
    with server_of(tmp_path, port) as server:
        queue = Queue(server, capsys)
        assert queue("ls") == ""
        assert queue.err == "the queue is empty\n"
        send(server, 20)
        send(server, 2, "near.test")
        wait_until(lambda: len(queue.rows("--state", "deferred")) == 22, "all have been tried")
        rows = queue.rows("--to-domain", "far.test")
        assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
        assert sorted(row["recipients"][0]["address"] for row in rows) == sorted(
            f"u{i}@far.test" for i in range(20)
        )
        assert "refused" in rows[0]["recipients"][0]["reply"]

        text = queue("show", rows[0]["id"])
        assert "Connection refused" in text
        assert "  Subject: s" in text
        sites = queue.sites()
        assert {site["health"] for site in sites} == {"failing"}
        assert sum(site["waiting"] for site in sites) == 22

        assert queue("hold", "--to-domain", "near.test", "--dry-run") == "would hold 2 messages\n"
        assert queue("hold", "--to-domain", "near.test", "--yes") == "2 messages held\n"
        assert queue("ls", "--count", "--state", "held") == "2\n"
        assert queue("rm", "--yes", rows[0]["id"]) == "1 message removed\n"
        assert queue("bounce", "--to", "u19@far.test", "--yes") == "1 message returned to their senders\n"
        new = server.mail / "test.example/alice/new"
        wait_until(lambda: new.is_dir() and os.listdir(new), "the bounce comes")
        assert b"given up by the postmaster" in next(new.iterdir()).read_bytes()
        left = 20 - (1 if rows[0]["recipients"][0]["address"] == "u19@far.test" else 2)

        with swallowing(port):
            wait_until(lambda: reachable(port), "the sink is there")
            assert queue("retry", "--everything", "--yes").startswith(f"{left} messages to be tried now")
            wait_until(lambda: not queue.rows("--to-domain", "far.test"), "all but the held have gone")
            assert len(queue.rows()) == 2
            assert queue("release", "--state", "held", "--yes") == "2 messages released\n"
            queue("retry", "--everything", "--yes")
            wait_until(lambda: not queue.rows(), "the queue is empty")


def test_sockets_belong_to_the_server_and_go_with_it(tmp_path: Path, capsys: Capture) -> None:
    with server_of(tmp_path, free_port()) as server:
        control = server.data / "control"
        assert stat.S_IMODE(control.stat().st_mode) == 0o700
        sockets = sorted(control.iterdir())
        assert [path.name for path in sockets] == ["0", "1", "master"]
        assert {stat.S_IMODE(path.stat().st_mode) for path in sockets} == {0o600}
        Queue(server, capsys)("ls")
        assert server.stop() == os.EX_OK
    assert list(control.iterdir()) == []


def test_a_worker_that_is_killed_is_asked_again_when_it_is_back(tmp_path: Path, capsys: Capture) -> None:
    with server_of(tmp_path, free_port()) as server:
        queue = Queue(server, capsys)
        send(server, 10)
        wait_until(lambda: len(queue.rows("--state", "deferred")) == 10, "all have been tried")
        for pid in server.worker_pids():
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: len(queue.rows()) == 10, "all shards have a worker again")


def test_the_queue_of_a_server_that_was_stopped(tmp_path: Path, capsys: Capture) -> None:
    with server_of(tmp_path, free_port()) as server:
        queue = Queue(server, capsys)
        send(server, 6)
        wait_until(lambda: len(queue.rows("--state", "deferred")) == 6, "all have been tried")
    assert len(queue.rows()) == 6
    assert queue.err.startswith("note: no server runs on ")
    assert queue("hold", "--to", "u1@far.test", "--yes") == "1 message held\n"
    assert queue("bounce", "--everything", "--yes", code=os.EX_UNAVAILABLE) == ""
    with server:
        assert len(queue.rows()) == 6
        assert queue.err == ""
        assert [row["recipients"][0]["address"] for row in queue.rows("--state", "held")] == ["u1@far.test"]
