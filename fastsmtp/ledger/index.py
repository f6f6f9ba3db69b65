"""A segment's index: which lines may hold a value.

It is a row of *runs*, each about a range of the segment that begins where that of the run before ended. A run holds
the range's entries (_core/ledger.pyi) in order, in blocks of `BLOCK`; before them stand the first entry and the
checksum of each block, and before these a head with a checksum over both. So a search reads two places of a run, and
what has been damaged is seen by whoever reads it. A segment that no longer grows has one run, marked as the last.
"""

import os
import struct
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

BLOCK = 4096
"""Entries of a block."""

_HEAD = struct.Struct("=8sQQQII")
_MAGIC = b"fsledger"
_FORMAT = 1
_LAST = 1 << 16


class Damaged(Exception):
    """An index is not what was written."""


class Run(NamedTuple):
    """One run: where its blocks begin in the file, and the range ``begin`` to ``end`` of the segment."""

    at: int
    begin: int
    end: int
    total: int
    last: bool
    firsts: "array[int]"
    sums: "array[int]"


def encode_run(begin: int, end: int, entries: bytes, *, last: bool = False) -> bytes:
    """A run for a range of the segment, of its sorted entries."""
    whole = memoryview(entries)
    step = BLOCK * 8
    blocks = [whole[at : at + step] for at in range(0, len(whole), step)]
    table = b"".join(block[:8] for block in blocks)
    table += array("I", map(zlib.crc32, blocks)).tobytes()
    head = _HEAD.pack(_MAGIC, begin, end, len(whole) // 8, _FORMAT | (_LAST if last else 0), 0)
    return head[:-4] + struct.pack("=I", zlib.crc32(table, zlib.crc32(head[:-4]))) + table + entries


def read_runs(fd: int) -> list[Run]:
    """The runs of an open index, up to where it ends or is no longer as it was written: what it says nothing of is
    looked for in the segment. Raises OSError."""
    size = os.fstat(fd).st_size
    runs: list[Run] = []
    at = 0
    while (run := _read_run(fd, at, size)) is not None and run.begin == (runs[-1].end if runs else 0):
        runs.append(run)
        at = run.at + run.total * 8
    return runs


def end_of(runs: list[Run]) -> tuple[int, int]:
    """Up to where the segment is indexed, and where the index ends."""
    return (runs[-1].end, runs[-1].at + runs[-1].total * 8) if runs else (0, 0)


def entries_of(fd: int, runs: list[Run]) -> bytes:
    """The entries of all runs, one after the other. Raises `Damaged`, OSError."""
    return b"".join(_block(fd, run, number).tobytes() for run in runs for number in range(len(run.firsts)))


def positions(fd: int, run: Run, number: int) -> Iterator[int]:
    """Where the lines are that may hold the value whose hash is ``number``, the newest first. Raises `Damaged`,
    OSError."""
    low, high = number << 32, (number + 1) << 32
    first = max(0, bisect_left(run.firsts, low) - 1)
    for block in range(bisect_left(run.firsts, high) - 1, first - 1, -1):
        entries = _block(fd, run, block)
        yield from within(entries, number)


def within(entries: "array[int]", number: int) -> list[int]:
    """As `positions`, of sorted entries in memory."""
    start, stop = bisect_left(entries, number << 32), bisect_left(entries, (number + 1) << 32)
    return [entry & 0xFFFFFFFF for entry in reversed(entries[start:stop])]


def _block(fd: int, run: Run, number: int) -> "array[int]":
    length = min(BLOCK, run.total - number * BLOCK) * 8
    data = os.pread(fd, length, run.at + number * BLOCK * 8)
    if len(data) != length or zlib.crc32(data) != run.sums[number]:
        raise Damaged
    return array("Q", data)


def _read_run(fd: int, at: int, size: int) -> Run | None:
    head = os.pread(fd, _HEAD.size, at)
    if len(head) != _HEAD.size:
        return None
    magic, begin, end, count, marks, summed = _HEAD.unpack(head)
    blocks = -(-count // BLOCK)
    start = at + _HEAD.size + blocks * 12
    if magic != _MAGIC or marks & ~_LAST != _FORMAT or start + count * 8 > size:
        return None
    table = os.pread(fd, blocks * 12, at + _HEAD.size)
    if zlib.crc32(table, zlib.crc32(head[:-4])) != summed:
        return None
    firsts, sums = array("Q", table[: blocks * 8]), array("I", table[blocks * 8 :])
    return Run(start, begin, end, count, bool(marks & _LAST), firsts, sums)
