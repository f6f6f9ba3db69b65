"""``fastsmtp trace`` and the running server: the story of a message while it happens, and mail that goes on whatever
becomes of the ledger."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.cli.main import run
from fastsmtp.ledger.search import EVER, Ledger
from tests.system.server import RunningServer, free_port, wait_until
from tests.system.test_generations import reload
from tests.system.test_relay_sink import Sink, names, relay, send
from tests.tools import images
from tests.tools.images import Image
from tests.tools.site import public_folder

Capture = pytest.CaptureFixture[str]

needs_images = pytest.mark.skipif(bool(images.why_not()), reason=images.why_not() or "runs")


@pytest.fixture
def sink() -> Iterator[Sink]:
    with public_folder() as folder:
        sink = Sink(folder)
        yield sink
        sink.stop()


class Trace:
    """The command, asked about a server's mail."""

    def __init__(self, server: RunningServer, capsys: Capture) -> None:
        self.server = server
        self.capsys = capsys
        self.err = ""

    def __call__(self, *arguments: str, code: int = os.EX_OK) -> str:
        got = run(["trace", *arguments, "-c", str(self.server.file)])
        out, self.err = self.capsys.readouterr()
        assert got == code, f"{got}: {out}{self.err}"
        return out

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        """Messages, newest first; none where none matches."""
        run(["trace", *arguments, "--json", "--limit", "1000", "-c", str(self.server.file)])
        out, self.err = self.capsys.readouterr()
        return [json.loads(line) for line in out.splitlines()]

    def queue(self, *arguments: str) -> None:
        """Change the queue by hand."""
        assert run(["queue", *arguments, "--yes", "-c", str(self.server.file)]) == 0
        self.capsys.readouterr()

    def kinds(self, queue_id: str) -> list[str]:
        """What happened to a message, in its order."""
        return [event["kind"] for event in json.loads(self(queue_id, "--json"))["events"]]


def remove_ledger(server: RunningServer) -> None:
    """All of its directory, though the server may make new files at any moment."""
    away = server.directory / "removed"
    (server.data / "ledger").rename(away)
    shutil.rmtree(away)


def local(server: RunningServer, count: int, to: str = "bob@test.example") -> None:
    for name in names("local", count):
        send(server, [name], to)


def test_a_message_that_waits_then_goes_and_its_story_without_the_server(
    sink: Sink, tmp_path: Path, capsys: Capture
) -> None:
    with relay(tmp_path, sink.port, queue={"retry": ["1h"], "jitter": 0.0}) as server:
        trace = Trace(server, capsys)
        send(server, ["first"], "bob@far.test dora@test.example")
        wait_until(lambda: len(trace.rows("--to", "bob@far.test")) == 1, "it is in the ledger")
        [row] = trace.rows("--to", "bob@far.test")
        wait_until(lambda: "deferred" in trace.kinds(row["id"]), "the first attempt is told")
        wait_until(lambda: "delivered" in trace.kinds(row["id"]), "the other recipient has it")
        told = trace(row["id"])
        assert "bob@far.test: deferred" in told
        assert "Connection refused" in told
        assert "dora@test.example: delivered into dora@test.example" in told
        assert "\nnext\n  bob@far.test: tried at " in told, "the queue is asked"
        sink.start()
        trace.queue("retry", row["id"])
        wait_until(lambda: trace.rows("--to", "bob@far.test")[0]["done"], "it is sent")
        kinds = trace.kinds(row["id"])
        assert kinds[0] == "received"
        assert kinds[-1] == "sent"
        before = trace(row["id"])
        assert server.stop() == 0
        assert trace(row["id"]) == before
        assert trace("--from", "alice@test.example") == before


def test_a_bounce_and_what_it_is_about(tmp_path: Path, capsys: Capture) -> None:
    with RunningServer(
        tmp_path,
        relay={"networks": ["127.0.0.0/8"]},
        routes=[{"match": "*", "to": f"127.0.0.1:{free_port()}"}],
        queue={"retry": ["1h"]},
    ) as server:
        trace = Trace(server, capsys)
        send(server, ["one"])
        wait_until(lambda: trace.rows("--to", "b@far.test"), "it is in the ledger")
        [row] = trace.rows("--to", "b@far.test")
        wait_until(lambda: "deferred" in trace.kinds(row["id"]), "it was tried")
        trace.queue("bounce", row["id"])
        wait_until(lambda: "notified" in trace.kinds(row["id"]), "its sender is told")
        [notice] = json.loads(trace(row["id"], "--json"))["notices"]
        wait_until(lambda: "delivered" in trace.kinds(notice), "the notification is delivered")
        for queue_id in (row["id"], notice):
            told = trace(queue_id)
            assert f"by message {notice}" in told
            assert f"about message {row['id']}" in told
        assert server.stop() == 0


def test_deaths_of_workers_lose_nothing_that_was_told(tmp_path: Path, capsys: Capture) -> None:
    with RunningServer(tmp_path) as server:
        trace = Trace(server, capsys)

        def done(to: str) -> int:
            return sum(row["done"] for row in trace.rows("--to", to))

        for turn in range(3):
            local(server, 10, f"u{turn}@test.example")
            wait_until(lambda turn=turn: done(f"u{turn}@test.example") == 10, "all is told")
            dead = server.worker_pids()
            for pid in dead:
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda dead=dead: len({*server.worker_pids()} - {*dead}) == 2, "new workers")
        assert len(trace.rows("--from", "alice@test.example")) == 30
        assert trace.err == ""
        assert len(list((server.data / "ledger").glob("*.jsonl"))) <= 4, "files are gone on with"
        assert server.stop() == 0


def test_reloads_leave_one_ledger(tmp_path: Path, capsys: Capture) -> None:
    with RunningServer(tmp_path) as server:
        trace = Trace(server, capsys)
        for number in (2, 3, 4):
            local(server, 5)
            reload(server, number)
            server.wait_log(f"generation {number - 1} has ended")
        local(server, 5)
        wait_until(
            lambda: sum(row["done"] for row in trace.rows("--to", "bob@test.example")) == 20, "all is told"
        )
        assert trace.err == ""
        assert len(list((server.data / "ledger").glob("*.jsonl"))) <= 4, "files are gone on with"
        assert server.stop() == 0


def test_following_survives_the_end_of_the_server_and_of_the_directory(tmp_path: Path) -> None:
    followed = tmp_path / "followed"
    with RunningServer(tmp_path / "site") as server, followed.open("wb") as out:
        command = [sys.executable, "-m", "fastsmtp", "trace", "--follow", "--json", "--to", "*@test.example"]
        follower = subprocess.Popen([*command, "-c", str(server.file)], stdout=out, stderr=subprocess.STDOUT)

        def told(name: str) -> list[str]:
            whole = followed.read_text().rpartition("\n")[0]  # the last line may be on its way
            rows = map(json.loads, whole.splitlines())
            return [row["kind"] for row in rows if f"{name}@test.example" in row["to"]]

        def comes(name: str) -> None:
            local(server, 1, f"{name}@test.example")
            wait_until(lambda: told(name) == ["received", "delivered"], f"{name} is told")

        def until_it_looks() -> bool:
            local(server, 1, "early@test.example")
            return bool(told("early"))

        try:
            wait_until(until_it_looks, "it follows")
            comes("first")
            assert server.stop() == 0
            server.start()
            comes("second")
            remove_ledger(server)
            wait_until(lambda: len(list((server.data / "ledger").glob("*.jsonl"))) == 2, "new files")
            comes("third")
        finally:
            follower.kill()
            follower.wait()
        assert server.stop() == 0


def test_a_ledger_that_is_removed_costs_no_mail(tmp_path: Path, capsys: Capture) -> None:
    with RunningServer(tmp_path) as server:
        trace = Trace(server, capsys)
        local(server, 5)
        remove_ledger(server)
        local(server, 5)
        server.wait_log("ledger: .* was removed or changed by somebody else")
        server.wait_log(r"lost .*ledger")
        wait_until(lambda: len(list((server.data / "ledger").glob("*.jsonl"))) == 2, "new files")
        local(server, 5, "later@test.example")
        wait_until(lambda: len(trace.rows("--to", "later@test.example")) == 5, "the later ones are kept")
        assert server.stop() == 0
    assert len(list((tmp_path / "mail/test.example/bob/new").iterdir())) == 10


def test_indexes_and_segments_that_are_garbled_cost_what_was_in_them(tmp_path: Path, capsys: Capture) -> None:
    with RunningServer(tmp_path, workers=1) as server:
        trace = Trace(server, capsys)
        local(server, 5)
        wait_until(
            lambda: sum(row["done"] for row in trace.rows("--to", "bob@test.example")) == 5, "all is told"
        )
        [segment] = (server.data / "ledger").glob("*.jsonl")
        for index in (server.data / "ledger").glob("*.idx"):
            index.write_bytes(b"garbage" * 100)
        data = bytearray(segment.read_bytes())
        third = data.index(b"\n", data.index(b"\n") + 1) + 1
        data[third : third + 20] = b"\0" * 20
        segment.write_bytes(data)
        rows = trace.rows("--to", "bob@test.example")
        assert len(rows) == 5
        assert sum(not row["done"] or row["sender"] is None for row in rows) == 1
        local(server, 1, "later@test.example")
        wait_until(lambda: len(trace.rows("--to", "later@test.example")) == 1, "the server goes on")
        assert server.stop() == 0


@needs_images
@pytest.mark.slow
def test_a_full_disk_of_the_ledger_costs_no_mail_and_is_told(tmp_path: Path, capsys: Capture) -> None:
    image = Image(tmp_path, "disk", 16)
    try:
        data = tmp_path / "site/data"
        data.mkdir(parents=True)
        (data / "ledger").symlink_to(image.mount)
        with RunningServer(tmp_path / "site") as server:
            trace = Trace(server, capsys)
            local(server, 3, "before@test.example")
            wait_until(lambda: len(trace.rows("--to", "before@test.example")) == 3, "they are kept")
            filler = image.fill(leave=0)
            local(server, 100, "during@test.example")
            server.wait_log("ledger: .* cannot be written: No space left on device; mail goes on without it")
            server.wait_log("lost .*ledger")
            assert len(trace.rows("--to", "before@test.example")) == 3
            filler.unlink()

            def kept() -> bool:
                local(server, 2, "after@test.example")
                return bool(trace.rows("--to", "after@test.example")) and "is written again" in server.log

            wait_until(kept, "they are kept again")
            wait_until(
                lambda: any(line.kind == "lost" for line in Ledger(data / "ledger").scan(EVER)),
                "the ledger itself says that something is missing",
            )
            assert server.stop() == 0
        new = tmp_path / "site/mail/test.example/during/new"
        assert len(list(new.iterdir())) == 100
    finally:
        image.remove()
