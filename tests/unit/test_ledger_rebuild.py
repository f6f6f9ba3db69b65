"""Indexes made again are as they were."""

from pathlib import Path

from fastsmtp.ledger.indexer import RUN
from fastsmtp.ledger.rebuild import rebuild
from fastsmtp.ledger.search import Ledger
from tests.tools.ledger import Book, event, ids

MEGABYTE = 1 << 20


def filled(folder: Path) -> Book:
    book = Book(folder, max_size=128 * MEGABYTE)
    for number in range(3):
        book.put(*(event("received", 1.0, id=f"{number}-{i}", text="x" * 4000) for i in range(600)))
        book.look()
    return book


def test_deleted_and_garbled_ones(tmp_path: Path) -> None:
    book = filled(tmp_path)
    book.close()
    deleted, garbled, *_ = book.files(".idx")
    deleted.unlink()
    garbled.write_bytes(garbled.read_bytes()[:-100] + b"x" * 100)
    seen: list[tuple[int, int]] = []
    done = rebuild(tmp_path, lambda read, total: seen.append((read, total)))
    assert (done.written, done.busy, done.problems) == (4, 0, [])
    assert seen[-1][0] == seen[-1][1] > 3 * MEGABYTE
    ledger = Ledger(tmp_path)
    assert [ids(list(ledger.find("id", f"{number}-299"))) for number in range(3)] == [
        [f"{n}-299"] for n in range(3)
    ]
    assert ledger.problems == []


def test_that_of_a_running_server_is_made_by_it(tmp_path: Path) -> None:
    book = filled(tmp_path)
    book.put(*(event("received", 1.0, id=f"new-{i}", text="x" * 4000) for i in range(RUN // 4000)))
    book.look()
    current = book.files(".idx")[-1]
    before = current.read_bytes()
    done = rebuild(tmp_path)
    assert (done.written, done.busy) == (3, 1)
    assert not current.exists()
    book.look()
    assert current.read_bytes() == before


def test_what_is_no_segment_is_told(tmp_path: Path) -> None:
    book = filled(tmp_path)
    book.close()
    (tmp_path / "20200101T000000.000-1.jsonl").write_bytes(b"something\n")
    done = rebuild(tmp_path)
    assert done.written == 4
    assert ["does not begin as a segment" in problem for problem in done.problems] == [True]
