"""Memory that master and workers share: anonymous maps made before the first fork.

Each process has a *row* in the tables, which the master gives it at its birth and takes back at its death, so that
processes of several generations are side by side. A heartbeat is one double a row: the monotonic clock (the same for
all processes of a machine) at the last turn of the process's loop. The suspects' region of a shard outlives the
worker that wrote it, so its successor, or whoever adopts the shard, finds what the dead one had in hand.
"""

import mmap
import struct

_BEAT = struct.Struct("d")


class Rows:
    """Which rows are free; in the master alone."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._taken: set[int] = set()

    @property
    def free(self) -> int:
        """How many are."""
        return self.count - len(self._taken)

    def take(self) -> int:
        """A free one; there must be one."""
        row = next(row for row in range(self.count) if row not in self._taken)
        self._taken.add(row)
        return row

    def give_back(self, row: int) -> None:
        """Its process has ended."""
        self._taken.discard(row)


class Heartbeats:
    """One heartbeat a row, in seconds of the monotonic clock."""

    __slots__ = ("_map",)

    def __init__(self, rows: int) -> None:
        self._map = mmap.mmap(-1, max(1, rows) * _BEAT.size)

    def beat(self, row: int, now: float) -> None:
        """The process of ``row`` is alive."""
        _BEAT.pack_into(self._map, row * _BEAT.size, now)

    def last(self, row: int) -> float:
        """When it last was."""
        value: float = _BEAT.unpack_from(self._map, row * _BEAT.size)[0]
        return value


class Regions:
    """A zeroed region of ``size`` bytes for each of the first ``count`` shards."""

    def __init__(self, count: int, size: int) -> None:
        self._count = count
        self._size = size
        self._memory = memoryview(
            mmap.mmap(-1, max(1, count) * size)
        )  # pages are taken only when they are written

    def of(self, shard: int) -> memoryview:
        """That of ``shard``; of one with a larger number it is this process's alone."""
        if shard >= self._count:
            return memoryview(bytearray(self._size))
        return self._memory[shard * self._size : (shard + 1) * self._size]
