"""The keys of a table's entries in order, for readers that want a few of them.

They stand in *runs*, sorted and of bounded length: a new key costs its share of sorting one run, and no reader waits
for all of them to be sorted. Keys that are gone leave a run later, a run at a time. What is kept for long are tuples:
the collector of cycles leaves those of bytes alone, where it would hold up everybody to look through lists.
"""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Sequence
from heapq import merge
from itertools import islice

from fastsmtp.threads import let_in

_RUN = 2048
PIECE = 500
"""Keys that are looked at before others have their turn: half a millisecond."""
_SWEPT = 32
"""Runs that one reader cleans: some 3 ms."""
_FEW = 64
"""New keys that are put in their places one by one; more are sorted in."""
_SLACK = 200_000
"""Keys that are gone, or came twice, beyond as many as there are: then the runs are made anew, at once."""


def in_order(pieces: Iterable[Sequence[bytes]]) -> list[tuple[bytes, ...]]:
    """All these keys sorted, in short pieces again; in steps that let other threads run, as sorting all at once would
    not. Not for the loop."""
    runs, collected = list[list[bytes]](), list[bytes]()
    for piece in (*pieces, ()):
        collected += piece
        if len(collected) >= _RUN or not piece:
            runs.append(sorted(collected))
            collected = []
            let_in()
    merged, ordered = merge(*runs), list[tuple[bytes, ...]]()
    while piece := tuple(islice(merged, PIECE)):
        ordered.append(piece)
        let_in()
    return ordered


class Order:
    """The order of ``keys``, a dict that others change; they say so by `added` and `gone`."""

    __slots__ = ("_added", "_cleaned", "_gone", "_keys", "_length", "_newest", "_runs")

    def __init__(self, keys: Collection[bytes]) -> None:
        self._keys = keys
        self._runs: list[tuple[bytes, ...]] = []
        self._newest: list[bytes] = []
        self._added: list[bytes] = []
        self._gone = 0
        self._cleaned = 0
        self._length = 0  # of all runs

    def added(self, key: bytes) -> None:
        """There is a new key; it may have been there before."""
        self._added.append(key)
        if len(self._added) + len(self._newest) >= _RUN:
            self._newest += self._added
            self._newest.sort()
            self._runs.append(tuple(self._newest))
            self._length += len(self._newest)
            self._newest = []
            self._added = []
            if self._length > 2 * len(self._keys) + _SLACK:
                self._anew()

    def gone(self) -> None:
        """A key is there no longer."""
        self._gone += 1
        if self._gone >= _RUN:
            self._gone = 0
            self._clean()
            self._clean()

    def first(self, start: bytes, end: bytes | None, limit: int) -> list[bytes]:
        """The first ``limit`` keys from ``start`` on and below ``end``."""
        self._catch_up()
        ranges = []
        for run in (*self._runs, self._newest):
            below = len(run) if end is None else bisect_left(run, end)
            at = bisect_left(run, start, 0, below)
            if at < below:
                ranges.append(map(run.__getitem__, range(at, below)))
        found: list[bytes] = []
        keys, last, passed = self._keys, start, 0
        for key in merge(*ranges) if len(ranges) > 1 else ranges[0] if ranges else ():
            if len(found) >= limit:
                break
            if key in keys and not (found and key == last):
                found.append(key)
            else:
                passed += 1
            last = key
        if passed >= _RUN:  # they shall not be in the way once more
            self._sweep(start, last)
        return found

    def _catch_up(self) -> None:
        if len(self._added) <= _FEW:
            for key in self._added:
                insort(self._newest, key)
        else:
            self._newest += self._added
            self._newest.sort()
        self._added = []

    def _clean(self) -> None:
        """Take out of one run, the next in turn, what is gone; what is left may join the run before it."""
        if not self._runs:
            return
        at = self._cleaned = (self._cleaned or len(self._runs)) - 1
        at = min(at, len(self._runs) - 1)
        run = self._runs.pop(at)
        left = [key for key in run if key in self._keys]
        self._length += len(left) - len(run)
        if at and len(left) + len(self._runs[at - 1]) <= _RUN:
            self._runs[at - 1] = tuple(sorted((*self._runs[at - 1], *left)))
        elif left:
            self._runs.insert(at, tuple(left))

    def _sweep(self, start: bytes, last: bytes) -> None:
        """Take what is gone out of the runs that have keys from ``start`` to ``last``, but of `_SWEPT` at most."""
        swept = 0
        for at in range(len(self._runs) - 1, -1, -1):
            run = self._runs[at]
            if run[-1] < start or run[0] > last:
                continue
            left = [key for key in run if key in self._keys]
            self._length += len(left) - len(run)
            self._runs[at : at + 1] = [tuple(left)] if left else []
            swept += 1
            if swept >= _SWEPT:
                return

    def _anew(self) -> None:
        ordered = sorted(self._keys)
        self._runs = [tuple(ordered[at : at + _RUN]) for at in range(0, len(ordered), _RUN)]
        self._length = len(ordered)


class KeySet:
    """Keys, and their order."""

    __slots__ = ("_keys", "_order")

    def __init__(self) -> None:
        self._keys: set[bytes] = set()
        self._order = Order(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: bytes) -> None:
        """It is among them from now on."""
        if key not in self._keys:
            self._keys.add(key)
            self._order.added(key)

    def discard(self, key: bytes) -> None:
        """It is not, or no longer."""
        if key in self._keys:
            self._keys.remove(key)
            self._order.gone()

    def first(self, start: bytes, limit: int) -> list[bytes]:
        """The first ``limit`` of them from ``start`` on."""
        return self._order.first(start, None, limit)
