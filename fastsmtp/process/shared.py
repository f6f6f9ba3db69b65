"""Memory that master and workers share: anonymous maps made before the first fork.

A heartbeat is one double per slot: the monotonic clock (the same for all processes of a machine) at the last
turn of the worker's loop. The suspects' region of a slot outlives the worker that wrote it, so its successor,
or the sibling that adopts the shard, finds what the dead one had in hand.
"""

import mmap
import struct
from collections.abc import Iterable

_BEAT = struct.Struct("d")


class Heartbeats:
    """One heartbeat per worker slot, in seconds of the monotonic clock."""

    __slots__ = ("_map",)

    def __init__(self, workers: int) -> None:
        self._map = mmap.mmap(-1, max(1, workers) * _BEAT.size)

    def beat(self, slot: int, now: float) -> None:
        """The worker of ``slot`` is alive."""
        _BEAT.pack_into(self._map, slot * _BEAT.size, now)

    def last(self, slot: int) -> float:
        """When it last was."""
        value: float = _BEAT.unpack_from(self._map, slot * _BEAT.size)[0]
        return value


def regions(shards: Iterable[int], size: int) -> dict[int, memoryview]:
    """A zeroed region of ``size`` bytes for every shard."""
    return {shard: memoryview(mmap.mmap(-1, size)) for shard in shards}
