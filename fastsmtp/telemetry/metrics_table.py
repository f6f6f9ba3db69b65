"""The counters of all processes, in memory that the master maps before it forks.

Each process has a row of its own. A row is taken by a lock of the kernel, which gives it back when the process dies,
however that comes: nobody has to clear anything. The next one to take the row goes on counting where the dead one
stopped, so that no counter ever goes down while the master lives; the gauges of a row that nobody has are not read.
The master that follows in an upgrade is given the same memory, where it counts the same things.
"""

import errno
import fcntl
import mmap
import os
import struct
from collections.abc import Iterator, Mapping
from zlib import crc32

from fastsmtp._core import cells
from fastsmtp.telemetry.metrics import BY_NAME, CELL_BYTES, CELLS, METRICS, PLACES, Metric

ROWS = 256
"""Processes at once, those of generations that drain among them; further ones count into the last row."""
_PAGE = mmap.PAGESIZE
_NOTE = struct.Struct("II")  # length and checksum
NOTE_BYTES = 3 * _PAGE - _NOTE.size
"""What a row's note may have."""
_USED = CELLS * CELL_BYTES
"""Where a row says that it was taken once."""
_CELLS_BYTES = -(-(_USED + 1) // _PAGE) * _PAGE
_ROW = _CELLS_BYTES + _NOTE.size + NOTE_BYTES
LAYOUT = crc32(
    repr(
        (
            ROWS,
            _ROW,
            cells.MICROS,
            [(one.name, one.kind, one.labels, one.buckets, one.per_unit) for one in METRICS],
        )
    ).encode()
)
"""What tells this memory from that of a program that counts other things."""
_LOCK = struct.Struct("hhqqi4x")  # struct flock of fcntl(2): type, whence, start, length, pid


class Row:
    """One process's counters, and a note: a few bytes that say what cannot be counted."""

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory

    @classmethod
    def alone(cls) -> "Row":
        """One that nobody else sees."""
        return cls(memoryview(bytearray(_ROW)))

    def counters(self, name: str) -> dict[tuple[str, ...], cells.Counter]:
        """The cells of the counter or gauge ``name``, by the values of its labels. KeyError when there is none."""
        return {labels: cells.Counter(memory) for labels, memory in self._series(BY_NAME[name])}

    def histograms(self, name: str) -> dict[tuple[str, ...], cells.Histogram]:
        """Those of the histogram ``name``. KeyError when there is none."""
        metric = BY_NAME[name]
        return {labels: cells.Histogram(memory, metric.buckets) for labels, memory in self._series(metric)}

    def values(self) -> memoryview:
        """All cells as they are."""
        return self._memory[:_USED].cast("q")

    def forget_gauges(self) -> None:
        """They are 0: whoever had the row before is gone."""
        values = self.values()
        for metric in METRICS:
            if metric.kind == "gauge":
                for at in range(PLACES[metric.name], PLACES[metric.name] + metric.size):
                    values[at] = 0
        self.write_note(b"")

    def write_note(self, note: bytes) -> None:
        """Replace the note. ValueError when it is too long."""
        if len(note) > NOTE_BYTES:
            raise ValueError(f"a note has {NOTE_BYTES} bytes at most")
        at = _CELLS_BYTES + _NOTE.size
        self._memory[at : at + len(note)] = note
        _NOTE.pack_into(self._memory, _CELLS_BYTES, len(note), crc32(note))

    def read_note(self) -> bytes:
        """The note; empty when it is just being written."""
        length, check = _NOTE.unpack_from(self._memory, _CELLS_BYTES)
        at = _CELLS_BYTES + _NOTE.size
        note = bytes(self._memory[at : at + min(length, NOTE_BYTES)])
        return note if crc32(note) == check else b""

    def _series(self, metric: Metric) -> Iterator[tuple[tuple[str, ...], memoryview]]:
        at, size = PLACES[metric.name] * CELL_BYTES, metric.cells * CELL_BYTES
        for labels in metric.series():
            yield labels, self._memory[at : at + size]
            at += size


class MetricTable:
    """Made before the first fork. ``started`` is when counting began, in seconds since 1970. ``file`` is the memory
    of a table of the same `LAYOUT`, which is gone on with."""

    def __init__(self, started: float, file: int | None = None) -> None:
        self.started = started
        self.file = os.memfd_create("fastsmtp-metrics", os.MFD_CLOEXEC) if file is None else file
        os.ftruncate(self.file, ROWS * _ROW)  # pages are taken only when they are written
        self._memory = memoryview(mmap.mmap(self.file, ROWS * _ROW))
        self._taken: Mapping[int, int] = {}

    def claim(self) -> Row:
        """A row of this process alone, for as long as it lives. Called after its fork, once."""
        for number in range(ROWS):
            if number in self._own():
                continue
            try:
                fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    continue
                raise
            self._taken = {**self._own(), number: os.getpid()}
            self._memory[number * _ROW + _USED] = 1
            row = self._row(number)
            row.forget_gauges()
            return row
        return self._row(ROWS - 1)

    def rows(self) -> Iterator[tuple[Row, bool]]:
        """All rows that were ever taken, and whether somebody has them now."""
        for number in range(ROWS):
            if not self._memory[number * _ROW + _USED]:
                return  # rows are taken in their order
            yield self._row(number), self._alive(number)

    def _row(self, number: int) -> Row:
        return Row(self._memory[number * _ROW : (number + 1) * _ROW])

    def _own(self) -> Mapping[int, int]:
        """The rows that this process has: its locks are no hindrance to itself. Those of a forefather are not."""
        pid = os.getpid()
        return {number: owner for number, owner in self._taken.items() if owner == pid}

    def _alive(self, number: int) -> bool:
        if number in self._own():
            return True
        asked = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, number, 1, 0)
        found = fcntl.fcntl(self.file, fcntl.F_GETLK, asked)
        return int(_LOCK.unpack(found)[0]) != fcntl.F_UNLCK
