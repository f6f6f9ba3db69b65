"""Who was refused lately, by name, in memory that a fork shares: buckets know only fingerprints.

The table is small and of fixed size; a later one takes the place of an earlier one. Nothing is locked: a row that two
workers wrote at once may be a mixture, which its fingerprint tells, and is passed over.
"""

import mmap
import struct
from collections.abc import Iterator
from typing import NamedTuple

ROWS = 2048
MOST_TEXT = 104
"""Bytes of a name; a longer one is not listed."""
_ROW = struct.Struct(f"=QdIHH{MOST_TEXT}s")


class Refusal(NamedTuple):
    """``key`` was refused ``times`` by the rule with the number ``rule``, last at ``at`` (wall clock)."""

    mark: int
    at: float
    times: int
    rule: int
    key: str


class RefusedTable:
    """Made before the fork."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, ROWS * _ROW.size)

    def note(self, mark: int, rule: int, key: str, now: float) -> None:
        """``key`` was refused once more."""
        text = key.encode("utf-8", "replace")
        if len(text) > MOST_TEXT:
            return
        at = mark % ROWS * _ROW.size
        before = _ROW.unpack_from(self._memory, at)
        times = before[2] + 1 if before[0] == mark and before[2] < 0xFFFF_FFFF else 1
        _ROW.pack_into(self._memory, at, mark, now, times, rule, len(text), text)

    def all(self) -> Iterator[Refusal]:
        """What the rows say; whoever asks checks that ``mark`` is that of ``rule`` and ``key``."""
        for at in range(0, ROWS * _ROW.size, _ROW.size):
            mark, when, times, rule, length, text = _ROW.unpack_from(self._memory, at)
            if mark:
                yield Refusal(mark, when, times, rule, text[:length].decode("utf-8", "replace"))

    def of(self, mark: int) -> Refusal | None:
        """What is known of ``mark``."""
        mark_there, when, times, rule, length, text = _ROW.unpack_from(self._memory, mark % ROWS * _ROW.size)
        if mark_there != mark:
            return None
        return Refusal(mark, when, times, rule, text[:length].decode("utf-8", "replace"))

    def forget(self, mark: int) -> None:
        """Nobody with ``mark`` was refused."""
        if self.of(mark) is not None:
            _ROW.pack_into(self._memory, mark % ROWS * _ROW.size, 0, 0.0, 0, 0, 0, b"")
