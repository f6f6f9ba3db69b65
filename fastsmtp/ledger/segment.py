"""One segment as readers see it: its lines, and where a value is in it. Needs no index, and works with a torn one.

What it holds is what there was when it was opened.
"""

import os
from array import array
from collections.abc import Iterator
from pathlib import Path

from fastsmtp._core import ledger
from fastsmtp.ledger.format import LARGEST, LONGEST, Place, read_header
from fastsmtp.ledger.index import Damaged, Run, end_of, positions, read_runs, within

UNINDEXED = 8 << 20
"""Octets that may well be read without an index; of more it is said."""
_PIECE = 4096


class Segment:
    """An open segment. What is found to be missing is added to ``problems``. Raises `LedgerError`, OSError."""

    def __init__(self, place: Place, problems: list[str]) -> None:
        self.place = place
        self._problems = problems
        self._index: int | None = None
        self._runs: list[Run] = []
        self._rest: list[array[int]] | None = None
        self._file = _open(place.path)
        try:
            read_header(self._file, place.path)
            self._size = min(os.fstat(self._file).st_size, LARGEST)
            self._open_index()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the files; nothing can be read any more."""
        for fd in (self._file, self._index):
            if fd is not None:
                os.close(fd)
        self._file, self._index = -1, None

    def find(self, number: int) -> Iterator[int]:
        """Where the lines begin that may hold the value whose hash is ``number``, newest first. Raises OSError."""
        indexed, _ = end_of(self._runs)
        if self._size > indexed:
            if self._size - indexed > UNINDEXED:
                self._problem("has no index", "it was read instead; `fastsmtp reindex ledger` makes one")
            if self._rest is None:
                self._rest = list(self._entries(indexed, self._size))
            for piece in reversed(self._rest):
                yield from within(piece, number)
        elif self._size < indexed:
            self._problem("is shorter than its index", f"{indexed - self._size:,} octets of it are lost")
        for run in reversed(self._runs):
            yield from self._find_in(run, number)

    def line(self, at: int) -> bytes:
        """The line that begins at ``at``, without its end; empty when none does. Raises OSError."""
        data = os.pread(self._file, _PIECE, at)
        while (end := data.find(b"\n")) < 0:
            more = os.pread(self._file, 16 * _PIECE, at + len(data))
            if not more or len(data) > LONGEST:
                return b""
            data += more
        return data[:end]

    def lines(self, start: int) -> Iterator[tuple[int, bytes]]:
        """The whole lines from ``start``, each with where it begins. Raises OSError."""
        at = start
        while data := self._read(at, min(at + (1 << 20), self._size)):
            for line in data[:-1].split(b"\n"):
                yield at, line
                at += len(line) + 1

    def begin_of_line(self, at: int) -> int:
        """Where the first line at or after ``at`` begins. Raises OSError."""
        if at <= 0:
            return 0
        while data := os.pread(self._file, _PIECE, at - 1):
            end = data.find(b"\n")
            if end >= 0:
                return at + end
            at += len(data)
        return self._size

    @property
    def size(self) -> int:
        """Octets there are."""
        return self._size

    def unreadable(self, at: int) -> None:
        """Somebody found no event in the line at ``at``."""
        self._problem("has lines that are no events", f"the first of them at octet {at:,}")

    def _open_index(self) -> None:
        try:
            self._index = _open(self.place.index_path)
            self._runs = read_runs(self._index)
        except OSError:
            pass  # what is not in the index is looked for in the segment

    def _find_in(self, run: Run, number: int) -> Iterator[int]:
        assert self._index is not None
        last = min(run.end, self._size)
        try:
            for at in positions(self._index, run, number):
                yield at
                last = at
        except (Damaged, OSError):
            self._problem("has a damaged index", "it was read instead; `fastsmtp reindex ledger` mends it")
            yield from self._look(run.begin, last, number)

    def _look(self, begin: int, end: int, number: int) -> Iterator[int]:
        """As `find`, without an index."""
        for piece in reversed(list(self._entries(begin, end))):
            yield from within(piece, number)

    def _entries(self, begin: int, end: int) -> Iterator["array[int]"]:
        """The entries of lines that no index has, piece by piece."""
        while data := self._read(begin, min(begin + (16 << 20), end)):
            yield array("Q", ledger.entries(data, begin))
            begin += len(data)

    def _read(self, begin: int, end: int) -> bytes:
        """Whole lines from ``begin`` on, up to ``end`` at most; a line longer than that is read to its end."""
        data = os.pread(self._file, max(0, end - begin), begin)
        cut = data.rfind(b"\n") + 1
        if data and not cut and end < self._size:
            return self._read(begin, min(self._size, end + LONGEST))
        return data[:cut]

    def _problem(self, what: str, more: str) -> None:
        start = f"{self.place.path} {what}: "
        if not any(known.startswith(start) for known in self._problems):
            self._problems.append(start + more)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
