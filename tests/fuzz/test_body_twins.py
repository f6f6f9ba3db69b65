"""Invariant: for every body, however it is cut, the compiled readers and their plain twins find the same octets,
the same end and the same fault; and stuffed text comes out as it went in.

Run longer with FASTSMTP_FUZZ=N (examples a target).
"""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastsmtp import _core
from fastsmtp.smtp import framing
from tests.fakes.session import cut
from tests.tools.fuzzing import fuzzed

if not _core.COMPILED:
    pytest.skip("the compiled core is not in use", allow_module_level=True)

from fastsmtp._core import body as compiled

texts = st.lists(
    st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"..", b"x", b"\r\n.", b"\r\n.\r\n", b"\0\xff", b"y" * 70]),
    max_size=40,
).map(b"".join)
places = st.lists(st.integers(0, 1 << 12), max_size=20)
limits = st.sampled_from([0, 0, 1, 10, 100])


def follow(reader: Any, pieces: list[bytes]) -> list[Any]:
    """What a `DotReader` gives for each piece up to the end of the body."""
    seen: list[Any] = []
    for piece in pieces:
        if reader.ended:
            break
        seen.append((reader.feed(piece), reader.ended, reader.fault, reader.size))
    return seen


@fuzzed
@given(texts, places, limits)
@example(b"\r\n.\r\r\n.\r\n", [], 0)
@example(b".", [], 0)
def test_dots(whole: bytes, at: list[int], limit: int) -> None:
    pieces = cut(whole, at)
    assert follow(compiled.DotReader(limit), pieces) == follow(framing.DotReader(limit), pieces)


@fuzzed
@given(
    st.lists(st.sampled_from([b"", b".", b"..", b"x", b".x", b"x.", b"z" * 1000, b"\0\x80"]), max_size=30),
    places,
)
def test_what_is_stuffed_comes_out_as_it_went_in(lines: list[bytes], at: list[int]) -> None:
    text = b"".join(line + b"\r\n" for line in lines)
    sent = b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines) + b".\r\n"
    for reader in (compiled.DotReader(0), framing.DotReader(0)):
        out = b""
        for piece in cut(sent, at):
            found, used = reader.feed(piece)
            assert used == len(piece)
            out += found
        assert out == text
        assert reader.ended
        assert reader.fault == 0
        assert reader.size == len(text)


@fuzzed
@given(st.lists(texts, max_size=6), places, limits, st.booleans(), st.binary(max_size=3))
def test_chunks(chunks: list[bytes], at: list[int], limit: int, binary: bool, behind: bytes) -> None:
    def run(reader: Any) -> list[Any]:
        seen: list[Any] = []
        for chunk in chunks:
            reader.begin(len(chunk))
            pieces = cut(chunk, at)
            if pieces:
                pieces[-1] += behind
            for piece in pieces:
                seen.append((reader.feed(piece), reader.ended, reader.fault, reader.size))
        reader.finish()
        return [*seen, reader.fault]

    assert run(compiled.ChunkReader(limit, binary)) == run(framing.ChunkReader(limit, binary))
