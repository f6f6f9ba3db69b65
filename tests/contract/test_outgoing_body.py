"""What writes bodies for DATA and BDAT: compiled and plain under the same tests."""

from typing import Any

import pytest

from fastsmtp.smtp.framing import DotReader
from fastsmtp.smtp.outgoing_body import BARE_CR, BARE_LF, EIGHT_BIT, NO_FAULT
from tests.fakes.outgoing import IMPLEMENTATIONS, module
from tests.fakes.session import bytewise, cut, feedings


@pytest.fixture(params=IMPLEMENTATIONS)
def stuff(request: pytest.FixtureRequest) -> Any:
    return module(request.param, "stuff", "outgoing_body")


def written(core: Any, pieces: list[bytes], **options: bool) -> tuple[bytes, int]:
    writer = core.BodyWriter(**options)
    out = b"".join(bytes(writer.write(piece)) for piece in pieces) + writer.finish()
    if not writer.fault:
        assert writer.size == len(out)
    return out, writer.fault


CLEAN = {
    b"": b".\r\n",
    b"a": b"a\r\n.\r\n",
    b"a\r\n": b"a\r\n.\r\n",
    b"\r\n": b"\r\n.\r\n",
    b".": b"..\r\n.\r\n",
    b".\r\n": b"..\r\n.\r\n",
    b"a\r\n.\r\nb\r\n": b"a\r\n..\r\nb\r\n.\r\n",
    b"a.\r\n..b\r\n.c": b"a.\r\n...b\r\n..c\r\n.\r\n",
    b"\r\n\r\n.\r\n.": b"\r\n\r\n..\r\n..\r\n.\r\n",
    b"\x00\xff\r\n": b"\x00\xff\r\n.\r\n",
    b"x" * 5000 + b"\r\n.": b"x" * 5000 + b"\r\n..\r\n.\r\n",
}


@pytest.mark.parametrize("body", CLEAN)
def test_clean_bodies(stuff: Any, body: bytes) -> None:
    for pieces in feedings(body):
        assert written(stuff, pieces) == (CLEAN[body], NO_FAULT)


CONVERTED = {
    b"a\nb": b"a\r\nb\r\n.\r\n",
    b"a\rb": b"a\r\nb\r\n.\r\n",
    b"a\n.b": b"a\r\n..b\r\n.\r\n",
    b"a\r.b": b"a\r\n..b\r\n.\r\n",
    b"a\r\r\n": b"a\r\n\r\n.\r\n",
    b"a\n\r": b"a\r\n\r\n.\r\n",
    b"\r": b"\r\n.\r\n",
    b"\n": b"\r\n.\r\n",
    b"\n.\n": b"\r\n..\r\n.\r\n",
    b"\r.\r": b"\r\n..\r\n.\r\n",
    b"a\r\n.\nQUIT\n": b"a\r\n..\r\nQUIT\r\n.\r\n",
    b"a\n.\r\nMAIL": b"a\r\n..\r\nMAIL\r\n.\r\n",
    b"\r\r\r\n\n\r\n": b"\r\n\r\n\r\n\r\n\r\n.\r\n",
}


@pytest.mark.parametrize("body", CONVERTED)
def test_bare_line_ends_are_converted(stuff: Any, body: bytes) -> None:
    for pieces in feedings(body):
        assert written(stuff, pieces, convert=True) == (CONVERTED[body], NO_FAULT)


@pytest.mark.parametrize("body", CONVERTED)
def test_bare_line_ends_are_faults(stuff: Any, body: bytes) -> None:
    for pieces in feedings(body):
        out, fault = written(stuff, pieces)
        assert fault in (BARE_LF, BARE_CR)
        assert b"\r\n.\r\n" not in out


@pytest.mark.parametrize(
    ("body", "fault"),
    [(b"a\nb\r", BARE_LF), (b"a\rb\n", BARE_CR), (b"a\r", BARE_CR), (b"\r\r\n", BARE_CR), (b"\n", BARE_LF)],
)
def test_the_first_fault_is_told(stuff: Any, body: bytes, fault: int) -> None:
    for pieces in feedings(body):
        assert written(stuff, pieces)[1] == fault


def test_nothing_is_written_after_a_fault(stuff: Any) -> None:
    writer = stuff.BodyWriter()
    assert writer.write(b"a\n") == b""
    assert writer.write(b"good\r\n") == b""
    assert writer.finish() == b""


@pytest.mark.parametrize("body", [*CLEAN, *CONVERTED])
def test_a_server_reads_what_was_meant_and_stops_at_its_end(stuff: Any, body: bytes) -> None:
    out, _ = written(stuff, bytewise(body), convert=True)
    reader = DotReader(0)
    piece, used = reader.feed(out + b"MAIL FROM:<>\r\n")
    assert (reader.ended, reader.fault, used) == (True, 0, len(out))
    meant = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    meant += b"" if meant.endswith(b"\n") or not meant else b"\n"
    assert piece == meant.replace(b"\n", b"\r\n")


@pytest.mark.parametrize("body", [b"", b".", b".\r\n.\r\n", b"a\r\n.b"])
def test_a_chunk_is_not_stuffed(stuff: Any, body: bytes) -> None:
    for pieces in feedings(body):
        assert written(stuff, pieces, stuff=False) == (body, NO_FAULT)


def test_a_chunks_line_ends_are_converted_or_faults_too(stuff: Any) -> None:
    assert written(stuff, [b".\na\r"], stuff=False, convert=True) == (b".\r\na\r\n", NO_FAULT)
    assert written(stuff, [b".\na\r"], stuff=False) == (b"", BARE_LF)


def test_eight_bit_octets_where_there_may_be_none(stuff: Any) -> None:
    for place in range(40):
        body = b"a" * place + b"\x80" + b"b" * 40
        assert written(stuff, cut(body, [20]), seven=True, convert=True)[1] == EIGHT_BIT
    assert written(stuff, [b"abc\x7f\r\n"], seven=True) == (b"abc\x7f\r\n.\r\n", NO_FAULT)


def test_faults_are_found_at_every_place(stuff: Any) -> None:
    for place in range(70):
        for bad in (b"\r", b"\n"):
            body = b"x" * place + bad + b"y" * 70
            assert written(stuff, [body])[1] in (BARE_CR, BARE_LF)
        body = b"x" * place + b"\r\n." + b"y" * 70
        assert written(stuff, [body])[0] == b"x" * place + b"\r\n.." + b"y" * 70 + b"\r\n.\r\n"


def test_views_are_pieces_too(stuff: Any) -> None:
    body = bytearray(b"..a\r\n.b\r\n")
    assert written(stuff, [memoryview(body)[1:]]) == (b"..a\r\n..b\r\n.\r\n", NO_FAULT)


@pytest.mark.parametrize(
    ("data", "ascii_only"), [(b"", True), (b"a\x7f", True), (b"a" * 100 + b"\x80", False)]
)
def test_is_ascii(stuff: Any, data: bytes, ascii_only: bool) -> None:
    assert stuff.is_ascii(memoryview(data)) is ascii_only


def test_many_carriage_returns_take_linear_time(stuff: Any) -> None:
    body = b"\r" * 200_000
    assert written(stuff, [body], convert=True)[0] == b"\r\n" * 200_000 + b".\r\n"
