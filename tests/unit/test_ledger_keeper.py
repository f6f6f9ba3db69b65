"""What the ledger's thread does in a second: files begun, taken up, indexed, removed; and every fault survived."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from fastsmtp.ledger import hold
from fastsmtp.ledger.format import segments
from fastsmtp.ledger.indexer import RUN
from fastsmtp.ledger.retention import finished
from fastsmtp.ledger.search import Ledger, Span
from tests.fakes.clock import FakeClock
from tests.tools.ledger import Book, event

MEGABYTE = 1 << 20
SMALL = 64 * MEGABYTE
"""A `max_size` whose segments have a megabyte."""


def many(octets: int, id: str = "x") -> bytes:
    line = event("received", 1.0, id=id, text="x" * 4000)
    return line * (octets // len(line) + 1)


def finished_ones(book: Book) -> list[bool]:
    return [finished(place) for place in segments(book.directory)]


def test_a_full_segment_is_finished_and_the_next_one_begun(tmp_path: Path) -> None:
    book = Book(tmp_path, max_size=SMALL)
    book.put(many(MEGABYTE, "first"))
    book.look()
    book.put(event("received", 2.0, id="second"))
    assert finished_ones(book) == [True, False]
    assert [next(Ledger(tmp_path).find("id", id)).kind for id in ("first", "second")] == ["received"] * 2
    assert book.said == []


def test_so_is_an_old_one(tmp_path: Path) -> None:
    book = Book(tmp_path, keep=8000)
    book.put(event("received", 1.0, id="x"))
    book.look(900)
    assert finished_ones(book) == [False]
    book.look(100)
    assert finished_ones(book) == [True, False]


def test_a_clock_that_is_set_back_begins_another(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.look(7200)
    book.put(event("received", book.clock.wall, id="before"))
    book.clock.wall -= 3600
    book.look()
    book.put(event("received", book.clock.wall, id="after"))
    assert len(book.files()) == 2
    span = Span(book.clock.wall - 60)
    assert [line.text("id") for line in Ledger(tmp_path).scan(span)] == ["after", "before"]


def test_a_little_back_is_nothing(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.look(7200)
    book.clock.wall -= 3
    book.look()
    assert len(book.files()) == 1


def test_whoever_starts_with_a_clock_that_is_behind_leaves_the_files_of_the_future(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.put(event("received", book.clock.wall, id="x"))
    book.close()
    behind = Book(tmp_path, FakeClock(wall=1000.0))
    behind.put(event("received", 1000.0, id="y"))
    assert len(book.files()) == 2
    behind.clock.wall = book.clock.wall
    behind.look()
    behind.close()
    assert [line.text("id") for line in Ledger(tmp_path).find("id", "x")] == ["x"]


def test_the_index_follows_in_runs(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.put(many(RUN - 10_000))
    book.look()
    assert [path.stat().st_size for path in book.files(".idx")] == [0]
    book.put(many(20_000))
    book.look()
    one = book.files(".idx")[0].stat().st_size
    assert one > 0
    book.put(many(RUN))
    book.look()
    assert book.files(".idx")[0].stat().st_size > one


def test_an_index_that_is_removed_is_made_again(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.put(many(2 * RUN))
    book.look()
    [index] = book.files(".idx")
    before = index.read_bytes()
    index.unlink()
    book.look()
    assert index.read_bytes() == before
    assert book.said == []


def test_a_segment_is_gone_on_with_by_the_next_process_and_by_one_alone(tmp_path: Path) -> None:
    clock = FakeClock()
    first = Book(tmp_path, clock)
    first.put(event("received", 1.0, id="a"), b'{"half')
    first.close()
    second, third = Book(tmp_path, clock), Book(tmp_path, clock)
    second.put(event("delivered", 2.0, id="a"))
    third.put(event("delivered", 3.0, id="b"))
    assert len(second.files()) == 2
    ledger = Ledger(tmp_path)
    assert [line.kind for line in ledger.find("id", "a")] == ["delivered", "received"]
    assert [line.at for line in ledger.find("id", "b")] == [3.0]
    assert ledger.problems == []
    assert second.said == third.said == []


def test_what_a_dead_process_left_is_indexed_by_another(tmp_path: Path) -> None:
    clock = FakeClock()
    book, dead = Book(tmp_path, clock, keep=8000), Book(tmp_path, clock, keep=8000)
    dead.put(many(2 * RUN))
    left = dead.writer.held
    assert left is not None
    dead.close()
    clock.pass_by(1000)
    for _ in range(30):
        book.look()
    assert [finished(place) for place in segments(tmp_path) if place.path == left.path] == [True]


def test_old_segments_go_whole_and_none_that_is_written(tmp_path: Path) -> None:
    book = Book(tmp_path, keep=8000)
    book.put(event("received", 1.0, id="old"))
    book.look(1000)
    old, *_ = book.files()
    os.utime(old, (book.clock.now() - 9000,) * 2)
    [current] = book.files()[1:]
    os.utime(current, (book.clock.now() - 9000,) * 2)
    for _ in range(30):
        book.look()
    assert book.files() == [current]
    assert [path.stem for path in book.files(".idx")] == [current.stem]


def test_too_much_goes_oldest_first(tmp_path: Path) -> None:
    book = Book(tmp_path, max_size=8 * MEGABYTE)
    for number in range(12):
        book.put(many(MEGABYTE, f"m{number}"))
        book.look()
        os.utime(book.files()[number], (book.clock.now(),) * 2)
    for _ in range(30):
        book.look()
    ledger = Ledger(tmp_path)
    kept = [any(True for _ in ledger.find("id", f"m{number}")) for number in range(12)]
    assert kept == sorted(kept), "the oldest are gone"
    assert 5 <= sum(kept) <= 8
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 8 * MEGABYTE


def test_a_disk_short_of_space_has_the_oldest_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Book(tmp_path, max_size=SMALL, room=1000)
    for number in range(4):
        book.put(many(MEGABYTE, f"m{number}"))
        book.look()
        os.utime(book.files()[number], (book.clock.now(),) * 2)
    free = 998
    monkeypatch.setattr("fastsmtp.ledger.retention._free", lambda place: free + 5 - len(book.files()))
    for _ in range(30):
        book.look()
    ledger = Ledger(tmp_path)
    assert [any(True for _ in ledger.find("id", f"m{number}")) for number in range(4)] == [
        False,
        False,
        True,
        True,
    ]
    assert book.said == ["ledger: the 2 oldest files were removed early: the disk is short of space"]


def test_an_index_of_nothing_goes(tmp_path: Path) -> None:
    (tmp_path / "20000101T000000.000-1.idx").write_bytes(b"")
    (tmp_path / "20000101T000000.000-1.idx.new").write_bytes(b"x")
    book = Book(tmp_path)
    assert book.files(".idx") + book.files(".new") == []
    assert len(book.files()) == 1


def test_a_directory_that_is_removed_is_made_again_and_what_is_lost_is_told(tmp_path: Path) -> None:
    book = Book(tmp_path / "ledger")
    book.put(event("received", 1.0, id="a"), event("delivered", 2.0, id="a"))
    shutil.rmtree(book.directory)
    book.look()
    book.put(event("received", 3.0, id="b"))
    book.look()
    book.look()
    assert ["was removed or changed by somebody else: 2 events" in said for said in book.said] == [
        True,
    ]
    assert book.lost == [2]
    assert [line.at for line in Ledger(book.directory).find("id", "b")] == [3.0]


def test_a_segment_that_somebody_shortens_is_left(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.put(many(RUN))
    book.look()
    [path] = book.files()
    os.truncate(path, 5000)
    book.look()
    book.put(event("received", 3.0, id="b"))
    assert len(book.files()) == 2
    assert len(list(Ledger(tmp_path).find("id", "b"))) == 1


def full_disk(book: Book) -> int:
    """The segment's descriptor is that of a full disk from now on; the real one."""
    held = book.writer.held
    assert held is not None
    real = os.dup(held.fd)
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, held.fd)
    os.close(full)
    return real


def test_a_full_disk_is_told_once_a_minute_and_outlived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Book(tmp_path)
    monkeypatch.setattr("fastsmtp.ledger.hold.Held.intact", lambda self: True)  # /dev/full is no file
    real = full_disk(book)
    for _ in range(70):
        book.put(event("received", 1.0, id="a"), event("delivered", 1.0, id="a"))
        book.put(event("received", 1.0, id="b"))
        book.look()
    assert book.lost == [3, 3 * 60]
    assert len(book.said) == 1
    assert "No space left on device; mail goes on without it" in book.said[0]
    held = book.writer.held
    assert held is not None
    os.dup2(real, held.fd)
    os.close(real)
    book.put(event("received", 1.0, id="c"))
    book.look()
    assert book.said[1:] == [f"ledger: {tmp_path} is written again"]
    assert sum(book.lost) == 210
    assert len(list(Ledger(tmp_path).find("id", "c"))) == 1


def test_a_ledger_that_cannot_be_made_costs_events_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "ledger"
    place.write_text("in the way")
    book = Book(place)
    book.put(event("received", 1.0, id="a"))
    book.look()
    book.look()
    assert len([said for said in book.said if said.endswith("; it is tried again every second")]) <= 2
    assert book.lost == [1]
    place.unlink()
    book.look()
    book.put(event("received", 1.0, id="b"))
    assert len(list(Ledger(place).find("id", "b"))) == 1


def test_an_index_that_cannot_be_written_costs_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Book(tmp_path)

    def full(fd: int, data: bytes, at: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)
    book.put(many(RUN, "a"))
    book.look()
    book.look()
    assert [said for said in book.said if "No space left" in said] == book.said != []
    assert len(book.said) == 1
    assert book.lost == []
    assert any(True for _ in Ledger(tmp_path).find("id", "a"))
    monkeypatch.undo()
    book.look()
    assert book.files(".idx")[0].stat().st_size > 0


def test_the_thread_ends_when_told(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.keeper.start()
    book.put(event("received", 1.0, id="a"))
    book.keeper.stop()
    assert len(list(Ledger(tmp_path).find("id", "a"))) == 1


def test_a_segment_is_not_taken_while_it_is_held(tmp_path: Path) -> None:
    held = hold.begin(tmp_path, 1.0)
    [place] = segments(tmp_path)
    assert hold.take(place) is None
    held.close()
    taken = hold.take(place)
    assert taken is not None
    assert taken.begun == 1.0
    assert taken.intact()


@pytest.mark.parametrize(
    "content",
    [
        b'{"kind":"seg\xffment","format":1,"at":1,"pid":1}\n',
        b'{"kind":"segment","format":1,"at":1,"pid":1,"x":' + b"[" * 3900 + b"\n",
        b'{"kind":"segment","format":99,"at":1,"pid":1}\nhalf a li',
        b"no line",
        b"",
    ],
)
def test_a_file_that_is_none_of_ours_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    foreign = tmp_path / "20991231T000000.000-1.jsonl"
    foreign.write_bytes(content)
    book = Book(tmp_path)
    book.put(event("received", 1.0, id="x"))
    book.look()
    assert foreign.read_bytes() == content
    ledger = Ledger(tmp_path)
    assert [line.kind for line in ledger.find("id", "x")] == ["received"]
    assert [str(foreign) in problem for problem in ledger.problems] == [True]
    assert book.said == []
