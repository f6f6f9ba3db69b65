"""Body files: whole or not at all, in bounded memory."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from fastsmtp.spool.base import SpoolError, SpoolFailed, SpoolFull
from fastsmtp.spool.bodies import BodyPool, as_spool_error
from tests.fakes.post_office import until


class Pool:
    """A pool whose loop is a queue, and whose steps can be held."""

    def __init__(self, path: Path) -> None:
        self.posted: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.go_on = threading.Event()
        self.go_on.set()
        self.fail_at = ""
        self.fail_with: Exception = OSError(28, "No space left on device")
        self.events: list[str] = []
        self.pool = BodyPool(path, self.posted.put, self.fault, self.events.append)
        self.pool.start()

    def fault(self, step: str) -> None:
        self.go_on.wait(20)
        if step == self.fail_at:
            raise self.fail_with

    def finish(self, body: object) -> SpoolError | None:
        answers: SimpleQueue[SpoolError | None] = SimpleQueue()
        body.finish(answers.put)  # type: ignore[attr-defined]
        return answers.get(timeout=20)


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    pool = Pool(tmp_path)
    yield pool
    pool.go_on.set()
    pool.pool.stop()
    pool.pool.close()


def test_pieces_stand_in_order_behind_the_prefix(pool: Pool, tmp_path: Path) -> None:
    body = pool.pool.open("ID", b"prefix")
    expected = b"prefix"
    for n in range(500):
        piece = b"%d," % n * (n % 50)
        expected += piece
        body.write(piece)
    assert pool.finish(body) is None
    assert (tmp_path / "ID").read_bytes() == expected
    assert body.size == len(expected)
    assert (tmp_path / "ID").stat().st_mode & 0o777 == 0o600
    pool.pool.remove("ID")
    pool.pool.remove("ID")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("step", ["body-written", "body-synced", "body-linked", "body-durable"])
def test_a_failure_is_told_and_leaves_nothing(pool: Pool, tmp_path: Path, step: str) -> None:
    pool.fail_at = step
    body = pool.pool.open("ID", b"prefix")
    for _ in range(5):
        body.write(b"x" * 1000)
    assert isinstance(pool.finish(body), SpoolFull)
    assert os.listdir(tmp_path) == []
    until(lambda: pool.pool.waiting_bytes == 0)


def test_an_abort_leaves_nothing(pool: Pool, tmp_path: Path) -> None:
    body = pool.pool.open("ID", b"prefix")
    body.write(b"x" * 100_000)
    body.abort()
    until(lambda: pool.pool.waiting_bytes == 0)
    assert os.listdir(tmp_path) == []


def test_a_slow_disk_stops_the_client_until_there_is_room(pool: Pool) -> None:
    pool.go_on.clear()
    body = pool.pool.open("ID", b"")
    drained: list[int] = []
    body.on_drain = lambda: drained.append(1)
    while body.write(b"x" * 65_536):
        assert pool.pool.waiting_bytes < 2 << 20
    assert not body.write(b"the piece that was under way")
    pool.go_on.set()
    until(lambda: drained, each=lambda: pool.posted.get(timeout=20)())
    assert body.write(b"x")
    assert pool.finish(body) is None


def test_all_files_together_are_bounded(pool: Pool) -> None:
    pool.go_on.clear()
    bodies = [pool.pool.open(f"ID{n}", b"") for n in range(60)]
    drained: set[int] = set()
    for n, body in enumerate(bodies):
        body.on_drain = lambda n=n: drained.add(n)  # type: ignore[misc]
    going = set(range(60))
    for _ in range(20):
        going -= {n for n in going if not bodies[n].write(b"x" * 60_000)}
    assert not going
    assert pool.pool.waiting_bytes < 28 << 20
    pool.go_on.set()
    until(lambda: len(drained) == 60, each=lambda: pool.posted.get(timeout=20)())
    for body in bodies:
        body.abort()


def test_errors_are_told_apart() -> None:
    assert isinstance(as_spool_error(OSError(28, "full"), "x"), SpoolFull)
    assert isinstance(as_spool_error(OSError(5, "broken"), "x"), SpoolFailed)


def test_a_file_that_stood_there_before_is_left_alone(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "ID").write_bytes(b"another's")
    body = pool.pool.open("ID", b"prefix")
    body.write(b"x")
    assert isinstance(pool.finish(body), SpoolFailed)
    assert (tmp_path / "ID").read_bytes() == b"another's"


@pytest.mark.parametrize("step", ["body-written", "body-linked"])
def test_what_nobody_expected_is_an_answer_too(pool: Pool, tmp_path: Path, step: str) -> None:
    pool.fail_at = step
    pool.fail_with = ValueError("odd")
    body = pool.pool.open("ID", b"prefix")
    body.write(b"x")
    error = pool.finish(body)
    assert isinstance(error, SpoolFailed)
    assert "test_spool_bodies.py:" in str(error)
    assert os.listdir(tmp_path) == []


def test_a_thread_outlives_an_action_that_raises(pool: Pool) -> None:
    for _ in range(20):
        pool.pool.run(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    body = pool.pool.open("ID", b"prefix")
    body.write(b"x")
    assert pool.finish(body) is None
    until(lambda: len(pool.events) == 20)
    assert "ZeroDivisionError" in pool.events[0]
    assert "test_spool_bodies.py:" in pool.events[0]
