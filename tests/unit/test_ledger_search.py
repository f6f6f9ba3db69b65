"""Finding events: the same answers whatever state the files are in, and words for what is missing."""

import gc
import os
import random
from pathlib import Path

import pytest

from fastsmtp.ledger.format import FORMAT, segments
from fastsmtp.ledger.search import Kind, Ledger, Span, holds
from fastsmtp.ledger.segment import UNINDEXED, Segment
from tests.fakes.clock import FakeClock
from tests.tools.ledger import Book, event, ids

BIG = 8 << 20


def fill(book: Book, messages: int, at: float, tag: str = "m") -> None:
    for i in range(messages):
        book.put(
            event("received", at + i, id=f"{tag}{i}", sender="Alice@x.test", to=[f"u{i % 10}@y.test", "all@y.test"],
                  message_id=f"<{tag}{i}@x.test>", text="x" * 2000),
            event("delivered", at + i + 0.5, id=f"{tag}{i}", to=f"u{i % 10}@y.test"),
        )  # fmt: skip


def found(directory: Path, kind: Kind, value: str, span: Span = Span()) -> list[str]:  # noqa: B008
    return ids(list(Ledger(directory).find(kind, value, span)))


@pytest.fixture(params=["tail", "runs", "last"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Book:
    """A ledger of 2,000 messages whose index does not exist yet, has runs and a tail, or is complete."""
    book = Book(tmp_path, max_size=1 << 30)
    fill(book, 2000, book.clock.now())
    if request.param != "tail":
        book.look()
    if request.param == "last":
        book.look(book.keeper._settings.keep / 8)
        assert len(book.files()) == 2
    return book


def test_by_each_key(book: Book) -> None:
    assert found(book.directory, "id", "m7") == ["m7", "m7"]
    assert found(book.directory, "id", "M7") == []
    assert found(book.directory, "message_id", "<m7@x.test>") == ["m7"]
    assert found(book.directory, "to", "U7@Y.test")[:3] == ["m1997", "m1997", "m1987"]
    assert len(found(book.directory, "to", "u7@y.test")) == 400
    assert found(book.directory, "from", "alice@x.test") == [f"m{i}" for i in reversed(range(2000))]
    assert found(book.directory, "from", "nobody@x.test") == []


def test_of_a_time(book: Book) -> None:
    *_, first = Ledger(book.directory).find("id", "m0")
    span = Span(first.at + 1000, first.at + 1001.5)
    assert found(book.directory, "to", "all@y.test", span) == ["m1001", "m1000"]
    assert [(line.kind, line.text("id")) for line in Ledger(book.directory).scan(span)] == [
        ("received", "m1000"),
        ("delivered", "m1000"),
        ("received", "m1001"),
    ]


def test_nothing_is_missing(book: Book) -> None:
    ledger = Ledger(book.directory)
    assert list(ledger.find("id", "none")) == list(ledger.scan(Span(1, 2))) == []
    assert ledger.problems == []


def test_no_directory(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "none")
    assert list(ledger.find("id", "x")) == []
    assert ledger.begin() is None


def test_several_processes_are_one_ledger(tmp_path: Path) -> None:
    clock = FakeClock()
    first, second = Book(tmp_path, clock), Book(tmp_path, clock)
    assert len(first.files()) == 2
    first.put(event("received", 1.0, id="a", to=["x@y"]))
    second.put(event("delivered", 2.0, id="a", to="x@y"))
    first.put(event("notified", 3.0, id="b", about="a"))
    assert [line.kind for line in Ledger(tmp_path).find("id", "a")] == ["notified", "delivered", "received"]
    assert [line.at for line in Ledger(tmp_path).scan(Span())] == [1.0, 2.0, 3.0]
    assert Ledger(tmp_path).begin() == 1.0


def test_a_damaged_index_is_done_without(tmp_path: Path) -> None:
    book = Book(tmp_path, max_size=1 << 30)
    fill(book, 2000, 1000.0)
    book.look()
    [index] = book.files(".idx")
    data = bytearray(index.read_bytes())
    data[-9] ^= 255
    index.write_bytes(data)
    ledger = Ledger(tmp_path)
    assert ids(list(ledger.find("id", "m7"))) == ["m7", "m7"]
    assert len(list(ledger.find("from", "alice@x.test"))) == 2000
    [problem] = ledger.problems
    assert "has a damaged index: " in problem
    assert "fastsmtp reindex ledger" in problem


@pytest.mark.parametrize("seed", range(20))
def test_an_index_of_noise_loses_nothing(tmp_path: Path, seed: int) -> None:
    book = Book(tmp_path, max_size=1 << 30)
    fill(book, 1200, 1000.0)
    book.look()
    [index] = book.files(".idx")
    data = bytearray(index.read_bytes())
    noise = random.Random(seed)
    for _ in range(noise.choice([1, 1, 10, 1000])):
        data[noise.randrange(len(data))] = noise.randrange(256)
    index.write_bytes(data[: noise.choice([len(data), noise.randrange(len(data))])])
    assert all(found(tmp_path, "id", f"m{i}") == [f"m{i}"] * 2 for i in range(0, 1200, 150))


def test_a_large_segment_without_index_is_told(tmp_path: Path) -> None:
    book = Book(tmp_path, max_size=1 << 30)
    fill(book, UNINDEXED // 4000, 1000.0)
    fill(book, UNINDEXED // 4000 + 10, 1000.0, "n")
    ledger = Ledger(tmp_path)
    assert len(list(ledger.find("id", "m7"))) == 2
    assert ["has no index" in problem for problem in ledger.problems] == [True]


def test_a_shortened_segment_gives_what_it_has(tmp_path: Path) -> None:
    book = Book(tmp_path, max_size=1 << 30)
    fill(book, 2000, 1000.0)
    book.look()
    [path] = book.files()
    os.truncate(path, 1 << 20)
    ledger = Ledger(tmp_path)
    assert len(list(ledger.find("id", "m7"))) == 2
    assert list(ledger.find("id", "m1500")) == []
    assert any("is shorter than its index: " in problem for problem in ledger.problems)


def test_garbled_lines_are_told_and_passed_over(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.put(
        event("received", 1.0, id="a"),
        b'{"id":"a","at":\n',
        b"\0" * 9 + b"\n",
        event("delivered", 2.0, id="a"),
    )
    for search in (lambda ledger: ledger.find("id", "a"), lambda ledger: ledger.scan(Span())):
        ledger = Ledger(tmp_path)
        assert {line.kind for line in search(ledger)} == {"received", "delivered"}
        assert ["has lines that are no events" in problem for problem in ledger.problems] == [True]


def test_a_line_that_is_being_written_is_not_looked_at(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.put(event("received", 1.0, id="a"), b'{"kind":"delivered","v":1,"at":2.0,"id":"a"')
    ledger = Ledger(tmp_path)
    assert [line.kind for line in ledger.find("id", "a")] == ["received"]
    assert [line.kind for line in ledger.scan(Span())] == ["received"]
    assert ledger.problems == []


def test_a_newer_format_is_refused_and_the_rest_read(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.put(event("received", 1.0, id="a"))
    newer = tmp_path / "20991231T000000.000-1.jsonl"
    newer.write_bytes(
        b'{"kind":"segment","format":%d,"at":1,"pid":1}\n' % (FORMAT + 1) + event("x", 1.0, id="a")
    )
    (tmp_path / "20991231T000000.001-1.jsonl").write_bytes(b"something else\n")
    ledger = Ledger(tmp_path)
    for _ in range(2):
        assert [line.kind for line in ledger.find("id", "a")] == ["received"]
    assert len(ledger.problems) == 2
    assert any(f"{newer}: is of format 2, and this program reads 1" in problem for problem in ledger.problems)


def test_a_long_line_is_read_whole(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.put(event("received", 1.0, id="a", text="x" * 300_000), event("delivered", 2.0, id="a"))
    assert len(next(Ledger(tmp_path).find("id", "a")).raw) < 200
    assert [len(line.raw) > 300_000 for line in Ledger(tmp_path).find("id", "a")] == [False, True]
    one = Segment(segments(tmp_path)[0], [])
    assert len(list(one.lines(0))) == 3
    one.close()


def test_files_are_closed_with_their_ledger(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.put(event("received", 1.0, id="a"))
    gc.collect()  # what other tests left open is not to close in mid-count
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        ledger = Ledger(tmp_path)
        next(ledger.find("id", "a"))
        del ledger
    assert len(os.listdir("/proc/self/fd")) == before


def test_names_that_json_has_to_escape(tmp_path: Path) -> None:
    book = Book(tmp_path)
    name = '"a \\ b"@ex.test'
    book.put(event("received", 1.0, id="a", to=[name, "ü@ex.test"]))
    assert found(tmp_path, "to", name) == found(tmp_path, "to", "ü@EX.test") == ["a"]


def test_what_holds_a_value() -> None:
    from fastsmtp.ledger.line import read_line

    line = read_line(event("notified", 1.0, id="b", about="a", to="X@y").rstrip())
    assert line is not None
    assert holds(line, "id", "a")
    assert holds(line, "id", "b")
    assert holds(line, "to", "x@Y")
    assert not holds(line, "id", "B")
    assert not holds(line, "from", "x@y")
