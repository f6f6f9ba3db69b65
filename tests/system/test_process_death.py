"""Workers and masters that die: the service goes on, or ends with its master."""

import contextlib
import os
import signal
import smtplib
from pathlib import Path

import pytest

from tests.system.server import RunningServer, alive, wait_until


def greeted(server: RunningServer, times: int) -> None:
    """Every one of ``times`` connections gets its banner."""
    for _ in range(times):
        with server.connect() as client:
            assert client.recv(4) == b"220 ", server.log


def end(pid: int, number: signal.Signals) -> None:
    """Send ``number`` and wait until the process is gone."""
    os.kill(pid, number)
    wait_until(lambda: not alive(pid), f"worker {pid} ends")


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_a_killed_worker_is_replaced_and_nobody_is_turned_away(tmp_path: Path, accept: str) -> None:
    with RunningServer(tmp_path, accept=accept) as server:
        before = server.worker_pids()
        end(before[0], signal.SIGKILL)
        greeted(server, 20)
        wait_until(lambda: len(server.worker_pids()) == 2, "a new worker")
        assert before[0] not in server.worker_pids()
        assert before[1] in server.worker_pids()
        greeted(server, 20)
        assert server.stop() == 0


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_a_worker_that_cannot_live_is_stood_in_for(tmp_path: Path, accept: str) -> None:
    """Between the starts a sibling answers on the dead worker's socket and delivers from its shard."""
    with RunningServer(tmp_path, accept=accept) as server:
        for death in range(3):
            pid = server.worker_pid(0)
            assert pid is not None
            end(pid, signal.SIGSEGV)
            greeted(server, 20)
            if death:
                server.wait_log(rf"started again in {death} s[\s\S]*worker 1 has adopted spool shard 0")
            wait_until(lambda: server.worker_pid(0), "worker 0 is back")
            greeted(server, 20)
        assert server.stop() == 0


def test_two_workers_that_cannot_live_at_once(tmp_path: Path) -> None:
    with RunningServer(tmp_path, workers=3) as server:
        for _ in range(2):
            for slot in (0, 1):
                pid = server.worker_pid(slot)
                assert pid is not None
                end(pid, signal.SIGKILL)
            greeted(server, 20)
            wait_until(lambda: server.worker_pid(0) and server.worker_pid(1), "both are back")
        greeted(server, 20)
        assert server.stop() == 0


def test_the_only_worker_comes_back(tmp_path: Path) -> None:
    with RunningServer(tmp_path, workers=1) as server:
        for _ in range(2):
            wait_until(lambda: server.worker_pid(0), "the log tells of it")  # it may greet before
            pid = server.worker_pid(0)
            assert pid is not None
            end(pid, signal.SIGKILL)
            greeted(server, 3)
        assert server.stop() == 0


def test_workers_end_with_their_master(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        workers = server.kill_master()
        assert len(workers) == 2
        wait_until(lambda: not any(map(alive, workers)), "the workers end")


def test_a_new_master_waits_for_the_workers_of_the_dead_one(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server, server.connect() as held:
        held.recv(100)
        workers = server.kill_master()
        with RunningServer(tmp_path, listeners=server.settings["listeners"]) as second:
            second.port, second.address = server.port, server.address
            assert not any(map(alive, workers))
            greeted(second, 5)
            assert second.stop() == 0


def open_files(pid: int) -> int:
    """How many descriptors a process has, besides those of the ledger, which it opens and closes as it likes."""
    count = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            count += "/ledger/" not in os.readlink(link)
    return count


def test_standing_in_leaves_nothing_open(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        sibling = server.worker_pid(1)
        assert sibling is not None
        before = open_files(sibling)
        for _ in range(3):
            pid = server.worker_pid(0)
            assert pid is not None
            end(pid, signal.SIGKILL)
            wait_until(lambda: server.worker_pid(0), "worker 0 is back")
        wait_until(lambda: open_files(sibling) <= before, "the sibling has let go of sockets and shard")


def test_shards_of_a_larger_number_of_workers_are_drained(tmp_path: Path) -> None:
    messages = 40
    with RunningServer(tmp_path, workers=4, delivery={"hold": True}) as server:
        for number in range(messages):
            with smtplib.SMTP(*server.address, timeout=20) as client:
                client.sendmail("me@client.example", "alice@test.example", f"Subject: {number}\r\n\r\nx\r\n")
        assert server.stop() == 0
    with RunningServer(tmp_path, workers=2) as server:
        for by, shard in ((0, 2), (1, 3)):
            server.wait_log(f"worker {by} has adopted spool shard {shard}")
        new = server.mail / "test.example" / "alice" / "new"
        wait_until(lambda: new.exists() and len(list(new.iterdir())) == messages, "all are delivered")
        subjects = {path.read_bytes().split(b"Subject: ")[1].split(b"\r")[0] for path in new.iterdir()}
        assert len(subjects) == messages
        end(server.worker_pids()[0], signal.SIGKILL)
        wait_until(lambda: server.log.count("has adopted spool shard") >= 3, "a shard is adopted again")
        assert server.stop() == 0
