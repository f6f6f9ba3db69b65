"""A follower misses nothing and sees nothing twice, whatever becomes of the files."""

import os
import shutil
from pathlib import Path

from fastsmtp.ledger import follow
from fastsmtp.ledger.follow import Follower
from tests.fakes.clock import FakeClock
from tests.tools.ledger import Book, event, ids


def test_from_now_on_in_the_order_of_time(tmp_path: Path) -> None:
    clock = FakeClock()
    first, second = Book(tmp_path, clock), Book(tmp_path, clock)
    first.put(event("received", 1.0, id="before"))
    follower = Follower(tmp_path)
    assert follower.read() == []
    second.put(event("received", 3.0, id="c"), b'{"kind":"half')
    first.put(event("received", 2.0, id="b"), event("received", 4.0, id="d"))
    assert ids(follower.read()) == ["b", "c", "d"]
    second.put(b'","v":1,"at":5,"id":"e"}\n')
    assert ids(follower.read()) == ["e"]
    assert follower.read() == []


def test_over_the_end_of_a_segment_and_of_a_process(tmp_path: Path) -> None:
    book = Book(tmp_path, keep=8000)
    follower = Follower(tmp_path)
    book.put(event("received", 1.0, id="a"))
    book.look(1000)
    book.put(event("received", 2.0, id="b"))
    book.close()
    again = Book(tmp_path, book.clock, keep=8000)
    again.put(event("received", 3.0, id="c"))
    assert ids(follower.read()) == ["a", "b", "c"]


def test_a_position_is_gone_on_from(tmp_path: Path) -> None:
    book = Book(tmp_path, keep=8000)
    first = Follower(tmp_path, {})
    book.put(event("received", 1.0, id="a"))
    assert ids(first.read()) == ["a"]
    book.put(event("received", 2.0, id="b"))
    book.look(1000)
    book.put(event("received", 3.0, id="c"))
    assert ids(Follower(tmp_path, first.position).read()) == ["b", "c"]


def test_a_segment_that_is_removed_is_forgotten(tmp_path: Path) -> None:
    book = Book(tmp_path, keep=8000)
    follower = Follower(tmp_path)
    book.look(1000)
    old, new = book.files()
    assert set(follower.position) == {old.stem}
    old.unlink()
    follower.read()
    assert set(follower.position) == {new.stem}


def test_a_directory_that_is_removed_is_waited_for(tmp_path: Path) -> None:
    book = Book(tmp_path / "ledger")
    follower = Follower(book.directory)
    shutil.rmtree(book.directory)
    assert follower.read() == []
    book.look()
    book.put(event("received", 1.0, id="a"))
    assert ids(follower.read()) == ["a"]


def test_much_comes_in_pieces_and_whole(tmp_path: Path) -> None:
    book = Book(tmp_path)
    follower = Follower(tmp_path)
    long = event("received", 1.0, id="long", text="x" * (follow.PIECE + 10))
    count = 3 * follow.PIECE // 1000
    book.put(*(event("received", 1.0, id=str(i), text="x" * 1000) for i in range(count)), long)
    seen: list[str] = []
    while lines := follower.read():
        seen += ids(lines)
    assert seen == [*map(str, range(count)), "long"]


def test_no_more_at_once_than_wished(tmp_path: Path) -> None:
    clock = FakeClock()
    books = [Book(tmp_path, clock), Book(tmp_path, clock)]
    follower = Follower(tmp_path)
    for book in books:
        book.put(*(event("received", float(i), id=str(i), text="x" * 900) for i in range(10)))
    assert ids(follower.read(4096)) == ["0", "0", "1", "1"]
    assert ids(follower.read(1)) == ["2", "2"], "one line of each at least"
    assert ids(Follower(tmp_path, follower.position).read()) == [str(i // 2) for i in range(6, 20)]


def test_what_vanished_unread_is_counted(tmp_path: Path) -> None:
    book = Book(tmp_path, keep=8000)
    follower = Follower(tmp_path)
    book.put(*(event("received", float(i), id=str(i)) for i in range(10)))
    follower.read(1)
    book.look(1000)
    book.files()[0].unlink()
    follower.read()
    follower.read()
    assert follower.vanished == 1


def test_a_segment_that_was_shortened_is_read_from_where_it_grows_again(tmp_path: Path) -> None:
    book = Book(tmp_path)
    follower = Follower(tmp_path)
    book.put(event("received", 1.0, id="a"), event("received", 1.0, id="b"))
    follower.read()
    os.truncate(book.files()[0], 100)
    assert follower.read() == []
    book.look()
    book.put(event("received", 2.0, id="c"))
    assert ids(follower.read()) == ["c"]
