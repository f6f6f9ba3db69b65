"""The keys of a table's entries in order, for readers that want a few of them: made when somebody first asks, kept
up to date from then on, and dropped when nobody asks while much changes."""

from bisect import bisect_left, insort
from collections.abc import Collection

_FEW = 64
"""New keys that are put in their places one by one; more are sorted in."""
_SLACK = 1000
"""Keys that are gone, or came twice, beyond as many as there are: then the list is made anew."""


class Order:
    """The order of ``keys``, a dict that others change; `added` is told of each new key."""

    __slots__ = ("_added", "_keys", "_sorted", "kept")

    def __init__(self, keys: Collection[bytes]) -> None:
        self.kept = False
        """Whether `added` wants to know; it costs nothing while nobody asks."""
        self._keys = keys
        self._sorted: list[bytes] = []
        self._added: list[bytes] = []

    def added(self, key: bytes) -> None:
        """There is a new key; it may have been there before."""
        self._added.append(key)
        if len(self._added) + len(self._sorted) > 2 * len(self._keys) + _SLACK:
            self.kept = False
            self._sorted = []
            self._added = []

    def first(self, start: bytes, end: bytes | None, limit: int) -> list[bytes]:
        """The first ``limit`` keys from ``start`` on and below ``end``."""
        self._catch_up()
        found: list[bytes] = []
        ordered, keys, last = self._sorted, self._keys, None
        for at in range(bisect_left(ordered, start), len(ordered)):
            key = ordered[at]
            if (end is not None and key >= end) or len(found) >= limit:
                break
            if key != last and key in keys:
                found.append(key)
                last = key
        return found

    def _catch_up(self) -> None:
        if not self.kept or len(self._sorted) > 2 * len(self._keys) + _SLACK:
            self._sorted = sorted(self._keys)
            self._added = []
            self.kept = True
        elif len(self._added) <= _FEW:
            for key in self._added:
                insort(self._sorted, key)
        else:
            self._sorted += self._added
            self._sorted.sort()
        self._added = []
