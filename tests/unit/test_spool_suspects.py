"""The board of what is in hand."""

import pytest

from fastsmtp.spool.suspects import SuspectBoard


def test_what_one_puts_the_next_reads() -> None:
    region = memoryview(bytearray(SuspectBoard.BYTES))
    board = SuspectBoard(region)
    assert board.get() is None
    board.put(b"a queue id 13")
    assert SuspectBoard(region).get() == b"a queue id 13"
    board.put(b"key")
    assert board.get() == b"key"
    board.clear()
    assert board.get() is None


def test_a_small_region_is_refused() -> None:
    with pytest.raises(ValueError, match="64"):
        SuspectBoard(memoryview(bytearray(63)))
