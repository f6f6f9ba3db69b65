"""What every spool promises to intake: the one on disk and the one of the tests."""

from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.spool.base import Spool, SpoolError
from tests.fakes.post_office import PostOffice, until
from tests.fakes.spool import MemorySpool


class Kept:
    """A spool, its loop, and a way to see what it keeps."""

    def __init__(self, spool: Spool, posted: "SimpleQueue[Any]") -> None:
        self.spool = spool
        self.posted = posted
        self.answers: list[tuple[str, SpoolError | None]] = []

    def submit(self, body: Any, queue_id: str | None = None) -> str:
        queue_id = queue_id or self.spool.new_id()
        envelope = Envelope(queue_id, "", [Recipient("a@b", "a@b")], "192.0.2.1", "h", "ESMTP", 1.5)
        self.spool.submit(envelope, b"prefix", body, lambda error: self.answers.append((queue_id, error)))
        return queue_id

    def turn(self) -> None:
        try:
            self.posted.get(timeout=0.01)()
        except Empty:
            pass

    def answered(self, count: int) -> None:
        until(lambda: len(self.answers) >= count, each=self.turn)


@pytest.fixture(params=["lmdb", "memory"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    if request.param == "memory":
        posted: SimpleQueue[Any] = SimpleQueue()
        yield Kept(MemorySpool(post=posted.put), posted)
        return
    office = PostOffice(tmp_path).open()
    yield Kept(office.spool, office.posted)
    office.close()


def test_ids_are_unique_and_words(kept: Kept) -> None:
    ids = [kept.spool.new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(len(i) >= 10 and i.isascii() and i.isalnum() for i in ids)
    assert ids == sorted(ids)


def test_done_is_called_once_and_never_from_within_submit(kept: Kept) -> None:
    ids = []
    for n in range(50):
        ids.append(kept.submit(b"body" if n % 2 else bytearray(b"body")))
        assert not kept.answers
    kept.answered(50)
    for _ in range(3):
        kept.turn()
    assert sorted(kept.answers) == sorted((i, None) for i in ids)


def test_a_large_body_is_taken_in_pieces(kept: Kept) -> None:
    queue_id = kept.spool.new_id()
    body = kept.spool.open_body(queue_id, b"prefix")
    for _ in range(10):
        assert body.write(b"x" * 10_000)
    kept.submit(body, queue_id)
    kept.answered(1)
    assert kept.answers == [(queue_id, None)]


def test_an_aborted_body_is_forgotten(kept: Kept) -> None:
    body = kept.spool.open_body(kept.spool.new_id(), b"prefix")
    body.write(b"x" * 10_000)
    body.abort()
    kept.submit(b"other")
    kept.answered(1)
    assert len(kept.answers) == 1


def test_it_is_well(kept: Kept) -> None:
    assert kept.spool.unhealthy() is None
    assert kept.spool.inline_limit > 0
