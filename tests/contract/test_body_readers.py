"""Readers of bodies, compiled and plain: every text comes out the same however it is cut."""

import itertools
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest

from fastsmtp import _core
from fastsmtp.smtp import framing
from fastsmtp.smtp.framing import BARE_CR, BARE_LF, TOO_BIG
from tests.fakes.session import bytewise, cut

Make = Callable[..., Any]

READERS: dict[str, Any] = {"py": framing}
if _core.COMPILED:
    from fastsmtp._core import body as compiled

    READERS["c"] = compiled


@pytest.fixture(params=sorted(READERS))
def readers(request: pytest.FixtureRequest) -> Any:
    return READERS[request.param]


class Read(NamedTuple):
    """What came of a body: its octets, how many of the input were used, and the reader's attributes."""

    text: bytes
    used: int
    ended: bool
    fault: int
    size: int


def read(reader: Any, pieces: Iterable[bytes]) -> Read:
    """Feed ``pieces`` until the body ends."""
    text, used = b"", 0
    for piece in pieces:
        if reader.ended:
            break
        out, taken = reader.feed(piece)
        assert type(out) is bytes
        assert taken == len(piece) or reader.ended
        text += out
        used += taken
    return Read(text, used, reader.ended, reader.fault, reader.size)


END = b"\r\n.\r\n"


def expected(whole: bytes) -> Read:
    """What RFC 5321 §4.5.2 makes of ``whole``, by way of lines: the oracle."""
    padded = b"\r\n" + whole
    at = padded.find(END)
    lines = (padded if at < 0 else padded[:at]).split(b"\r\n")[1:]
    text = b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines)
    used = len(whole) if at < 0 else at + 3
    if at > 0:
        text += b"\r\n"
    return Read(text, used, at >= 0, first_fault(text), len(text))


def first_fault(text: bytes) -> int:
    """The first line end that is not CRLF; a CR at the very end may still get its LF."""
    found = re.search(rb"(?<!\r)(\n)|(\r)(?!\n|\Z)", text)
    if found is None:
        return 0
    return BARE_LF if found[1] else BARE_CR


TEXTS: dict[str, tuple[bytes, bytes]] = {
    "empty": (b".\r\n", b""),
    "one line": (b"x\r\n.\r\n", b"x\r\n"),
    "empty line": (b"\r\n.\r\n", b"\r\n"),
    "stuffed": (b"..\r\n.\r\n", b".\r\n"),
    "stuffed twice": (b"...\r\n.\r\n", b"..\r\n"),
    "stuffed text": (b"..x\r\n..y\r\n.\r\n", b".x\r\n.y\r\n"),
    "unstuffed dot": (b".x\r\n.\r\n", b"x\r\n"),
    "dot inside": (b"a.\r\nb.c\r\n.\r\n", b"a.\r\nb.c\r\n"),
    "dot after text": (b"a\r\n..\r\n..\r\nb\r\n.\r\n", b"a\r\n.\r\n.\r\nb\r\n"),
    "any octet": (b"\0\x01\x7f\x80\xff\r\n.\r\n", b"\0\x01\x7f\x80\xff\r\n"),
    "long line": (b"y" * 5000 + b"\r\n.\r\n", b"y" * 5000 + b"\r\n"),
    "empty lines": (b"\r\n\r\n\r\n.\r\n", b"\r\n\r\n\r\n"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_good_bodies(readers: Any, name: str) -> None:
    whole, text = TEXTS[name]
    good = Read(text, len(whole), True, 0, len(text))
    assert expected(whole) == good
    for rest in (b"", b"NOOP\r\n", b".\r\n", b"\r\n.\r\n"):
        every = whole + rest
        feedings = [[every], bytewise(every), *(cut(every, [place]) for place in range(min(len(every), 60)))]
        for pieces in feedings:
            assert read(readers.DotReader(0), pieces) == good


FAULTY = [
    b"\n.\r\n", b"\r.\r\n", b"\n.\n", b"\r.\r", b"\r\n.\n", b"\r\n.\r", b"x\n.\r\n", b"\n\r\n", b"..\n", b".\r\r\n",
    b".\r.\r\n", b".\n", b".\rx", b"\r\n.\r\r\n", b"x\ry\nz\r\n", b"x\ny\rz\r\n", b"\r\r", b"\n\n", b"x\r\n\r.\r\n",
]  # fmt: skip


@pytest.mark.parametrize("faulty", FAULTY)
def test_a_wrong_line_end_ends_nothing(readers: Any, faulty: bytes) -> None:
    """Only CRLF.CRLF ends a body, and the first fault is the one that is named."""
    for before, after in ((b"", b""), (b"good\r\n", b"more\r\n"), (b"x", b"y\r\n")):
        whole = before + faulty + after + END
        want = expected(whole)
        assert want.used == len(whole)
        assert want.fault
        for pieces in ([whole], bytewise(whole), *(cut(whole, [place]) for place in range(len(whole)))):
            got = read(readers.DotReader(0), pieces)
            assert got.ended
            assert got.used == want.used
            assert got.fault == want.fault
            assert got.size == want.size


@pytest.mark.parametrize("alphabet", [(b"\r", b"\n", b".", b"x")])
def test_all_short_texts(readers: Any, alphabet: tuple[bytes, ...]) -> None:
    """Every text of up to six of these octets, whole and byte by byte, against the oracle."""
    for length in range(1, 7):
        for letters in itertools.product(alphabet, repeat=length):
            whole = b"".join(letters) + b"\r\n.\r\n"
            want = expected(whole)
            for pieces in ([whole], letters_and_end(letters)):
                got = read(readers.DotReader(0), pieces)
                assert (got.used, got.ended, got.size) == (want.used, True, want.size), whole
                assert got.fault == want.fault, whole
                if not want.fault:
                    assert got.text == want.text, whole


def letters_and_end(letters: Iterable[bytes]) -> list[bytes]:
    return [*letters, b"\r", b"\n", b".", b"\r", b"\n"]


@pytest.mark.parametrize(("size", "fault"), [(9, 0), (10, 0), (11, TOO_BIG), (1000, TOO_BIG)])
def test_the_limit_counts_octets_without_stuffing(readers: Any, size: int, fault: int) -> None:
    text = b".\r\n" + b"x" * (size - 5) + b"\r\n"
    whole = b"." + text + b".\r\n"
    for pieces in ([whole], bytewise(whole)):
        got = read(readers.DotReader(10), pieces)
        assert got == Read(got.text, len(whole), True, fault, size)
        if not fault:
            assert got.text == text


def test_the_first_fault_is_named(readers: Any) -> None:
    big, lf, cr = b"x" * 20, b"\n", b"\rx"
    # cut so that each part is seen by itself
    for parts, fault in (
        ((lf, cr, big), BARE_LF),
        ((cr, lf, big), BARE_CR),
        ((big, lf, cr), TOO_BIG),
        ((big, cr, lf), TOO_BIG),
    ):
        assert read(readers.DotReader(15), [*parts, END]).fault == fault


def test_nothing_is_handed_on_after_a_fault(readers: Any) -> None:
    reader = readers.DotReader(0)
    assert reader.feed(b"a\r\n") == (b"a\r\n", 3)
    assert reader.feed(b"b\nc") == (b"", 3)
    assert reader.feed(b"good\r\n") == (b"", 6)
    assert reader.feed(b".\r\nNOOP") == (b"", 3)
    assert reader.ended
    assert reader.size == 12


def test_attributes_of_a_new_reader(readers: Any) -> None:
    dots = readers.DotReader(7)
    assert (dots.ended, dots.fault, dots.size, dots.limit) == (False, 0, 0, 7)
    chunks = readers.ChunkReader(7, False)
    assert (chunks.ended, chunks.fault, chunks.size, chunks.limit) == (True, 0, 0, 7)
    assert dots.feed(b"") == (b"", 0)


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_buffers(readers: Any, kind: Callable[[bytes], Any]) -> None:
    assert readers.DotReader(0).feed(kind(b"x\r\n.\r\n")) == (b"x\r\n", 6)
    chunk = readers.ChunkReader(0, False)
    chunk.begin(3)
    assert chunk.feed(kind(b"x\r\nz")) == (b"x\r\n", 3)


# --- chunks ----------------------------------------------------------------------------------------


def read_chunks(
    readers: Any, chunks: Iterable[bytes], *, step: int = 0, limit: int = 0, binary: bool = False
) -> Read:
    """Every chunk begun and fed, whole or in pieces of ``step``; then the last is finished."""
    reader = readers.ChunkReader(limit, binary)
    text, used = b"", 0
    for chunk in chunks:
        reader.begin(len(chunk))
        assert reader.ended == (not chunk)
        pieces = (
            [chunk[i : i + step] for i in range(0, len(chunk), step)] if step else [chunk] if chunk else []
        )
        for piece in pieces:
            out, taken = reader.feed(piece)
            assert taken == len(piece)
            text += out
            used += taken
        assert reader.ended
    reader.finish()
    return Read(text, used, reader.ended, reader.fault, reader.size)


def chunk_fault(text: bytes) -> int:
    """The first bare line end of a whole message."""
    found = re.search(rb"(?<!\r)(\n)|(\r)(?!\n)", text)
    return 0 if found is None else BARE_LF if found[1] else BARE_CR


def test_all_short_messages_in_two_chunks(readers: Any) -> None:
    for length in range(6):
        for letters in itertools.product((b"\r", b"\n", b"x"), repeat=length):
            text = b"".join(letters)
            fault = chunk_fault(text)
            for place in range(length + 1):
                for step in (0, 1):
                    got = read_chunks(readers, [text[:place], text[place:]], step=step)
                    assert got[1:] == (length, True, fault, length), (text, place, step)
                    assert fault or got.text == text


@pytest.mark.parametrize("text", [b"\n", b"\r", b"\r\r\n\n", b"\0\xff\n", b"x\r"])
def test_binary_chunks_are_not_looked_at(readers: Any, text: bytes) -> None:
    for chunks in ([text], [text[:1], text[1:]], [text, b""]):
        assert read_chunks(readers, chunks, binary=True) == Read(text, len(text), True, 0, len(text))


def test_a_chunk_takes_no_more_than_its_octets(readers: Any) -> None:
    reader = readers.ChunkReader(0, False)
    reader.begin(3)
    assert reader.feed(b"abcNOOP") == (b"abc", 3)
    assert reader.ended
    reader.begin(2)
    assert not reader.ended
    assert reader.feed(b"d") == (b"d", 1)
    assert not reader.ended
    assert reader.feed(b"eX") == (b"e", 1)
    assert reader.size == 5


def test_a_chunk_over_the_limit_is_at_fault_from_its_beginning(readers: Any) -> None:
    reader = readers.ChunkReader(10, False)
    reader.begin(10)
    assert reader.fault == 0
    assert reader.feed(b"x" * 10) == (b"x" * 10, 10)
    reader.begin(1)
    assert reader.fault == TOO_BIG
    assert reader.feed(b"y") == (b"", 1)
    assert reader.ended


def test_enormous_chunks(readers: Any) -> None:
    most = 10**18 - 1
    reader = readers.ChunkReader(10, False)
    for _ in range(30):
        reader.begin(most)
        assert reader.fault == TOO_BIG
        assert reader.feed(b"x") == (b"", 1)
        assert not reader.ended


def test_a_fault_already_found_stays(readers: Any) -> None:
    reader = readers.ChunkReader(10, False)
    reader.begin(2)
    reader.feed(b"\nx")
    reader.begin(100)
    assert reader.fault == BARE_LF
    reader = readers.ChunkReader(10, False)
    reader.begin(11)
    reader.feed(b"\n" * 10 + b"\r")
    reader.finish()
    assert reader.fault == TOO_BIG
