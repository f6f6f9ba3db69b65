"""One server per data directory."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastsmtp.process.errors import StartError
from fastsmtp.process.lock import LEFTOVER_WAIT, master_lives, take_lock


class FakeTime:
    """A clock that moves only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def held(tmp_path: Path) -> Iterator[int]:
    """A lock that somebody else holds: another open file description."""
    fd = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    yield fd
    os.close(fd)


def dead_pid() -> int:
    """The pid of a process that has ended and was waited for."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_the_file_names_its_holder(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("99999999999\n")
    fd = take_lock(tmp_path)
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    os.close(fd)


def test_a_second_one_is_refused_by_name(tmp_path: Path, held: int) -> None:
    os.write(held, b"%d\n" % os.getpid())
    time = FakeTime()
    with pytest.raises(StartError) as refused:
        take_lock(tmp_path, monotonic=time.monotonic, sleep=time.sleep)
    assert str(refused.value) == f"another fastsmtp (pid {os.getpid()}) runs on {tmp_path}; stop it first"
    assert refused.value.code == os.EX_TEMPFAIL
    assert time.now == 0


def test_workers_of_a_dead_master_are_waited_for(tmp_path: Path, held: int) -> None:
    os.write(held, b"%d\n" % dead_pid())
    waited = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            fcntl.flock(held, fcntl.LOCK_UN)

    os.close(take_lock(tmp_path, monotonic=lambda: 0.0, sleep=sleep))
    assert len(waited) == 3


def test_not_for_ever(tmp_path: Path, held: int) -> None:
    time = FakeTime()
    with pytest.raises(StartError, match="another fastsmtp runs on"):
        take_lock(tmp_path, monotonic=time.monotonic, sleep=time.sleep)
    assert time.now >= LEFTOVER_WAIT


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="check data_dir") as refused:
        take_lock(tmp_path / "nowhere")
    assert refused.value.code == os.EX_CANTCREAT


def test_whether_the_master_of_a_directory_lives(tmp_path: Path) -> None:
    assert not master_lives(tmp_path)
    fd = take_lock(tmp_path)
    assert master_lives(tmp_path)
    os.ftruncate(fd, 0)
    assert not master_lives(tmp_path)
    os.close(fd)
