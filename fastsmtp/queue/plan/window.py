"""Mail with a due time of its own: the next few thousand of it, in memory.

All due times are in the queue's index on disk, in their order; this is a window on its beginning. What lies before
the window's end is all here, what lies behind it is only there. When little is left, `wants` says from where to read
on; who has read hands it to `refill`.

Who uses it keeps two rules. An entry is added after it was committed, and the index is read for `refill` after that
too, so that no entry can fall between. What was given by `due` stays in the index until it is settled, and is not
given again by this window, but it would be by a new one: a start reads from the beginning.
"""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from itertools import islice

Entry = tuple[float, str]
"""Due time and queue id, which is the order of the index."""

_END: Entry = (float("inf"), "")


class DueWindow:
    """Keeps ``size`` entries after a refill, and twice as many at most. It begins empty, and wants to be filled."""

    __slots__ = ("_end", "_heap", "_known", "_size")

    def __init__(self, size: int = 4096) -> None:
        self._size = size
        self._heap: list[Entry] = []
        self._known: set[Entry] = set()
        """What is in the heap and has not been removed since."""
        self._end: Entry = (float("-inf"), "")
        """Everything before it that is in the index is here."""

    def __len__(self) -> int:
        return len(self._known)

    def add(self, at: float, queue_id: str) -> None:
        """An entry was written to the index; it is kept when it lies in the window."""
        entry = (at, queue_id)
        if entry >= self._end or entry in self._known:
            return
        self._known.add(entry)
        heappush(self._heap, entry)
        if len(self._known) > 2 * self._size:
            self._cut()

    def remove(self, at: float, queue_id: str) -> None:
        """An entry was removed from the index, or moved: it is not given."""
        self._known.discard((at, queue_id))
        if len(self._heap) > 64 + 2 * len(self._known):
            self._heap = list(self._known)
            heapify(self._heap)

    def due(self, now: float) -> str | None:
        """The queue id that is due first, each entry once; None when none is due."""
        entry = self._first()
        if entry is None or entry[0] > now:
            return None
        heappop(self._heap)
        self._known.remove(entry)
        return entry[1]

    def next_at(self) -> float | None:
        """When the first is due; None when the window is empty, which says nothing about the index while `wants`
        gives something."""
        entry = self._first()
        return entry[0] if entry is not None else None

    def wants(self) -> Entry | None:
        """From which entry on (that one included) the index is to be read for `refill`; None while enough is left,
        or when all of the index is here."""
        return self._end if self._end != _END and len(self._known) < self._size // 2 else None

    def refill(self, entries: Iterable[Entry]) -> None:
        """Take from ``entries``, which begin where `wants` said and ascend, as many as there is room for; no more
        than one beyond these is read."""
        rest = iter(entries)
        for entry in islice(rest, max(0, self._size - len(self._known))):
            self._known.add(entry)
            heappush(self._heap, entry)
        self._end = next(rest, _END)

    def _first(self) -> Entry | None:
        while self._heap:
            if self._heap[0] in self._known:
                return self._heap[0]
            heappop(self._heap)
        return None

    def _cut(self) -> None:
        """Leave the later half to the index."""
        self._heap = sorted(self._known)
        self._end = self._heap[self._size]
        del self._heap[self._size :]
        self._known = set(self._heap)
