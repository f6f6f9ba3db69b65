"""Token buckets in memory that a fork shares, one table for each rule.

A bucket is one number: when it will be full again. What comes moves that further off, by the seconds in which one
more may come, and time does the rest. So nothing has to be filled, and a bucket that is full needs no row (the
generic cell rate algorithm, ITU-T I.371).

A row also keeps a fingerprint of 64 bits of whom it is for, so that two who fall into the same place do not share a
limit. Each has four rows to choose from; when all are taken the fullest bucket makes room, which is that of whoever
has done least. Nothing is locked. Of two workers that count for one client in the same microsecond one may be lost;
one that dies leaves whole numbers.
"""

import mmap

SETS, WAYS = 1 << 14, 4
ROWS = SETS * WAYS
_NOTHING = 1e-4
"""Seconds that may only be the error of many sums."""


class Buckets:
    """Those of one rule: ``interval`` seconds for one more, ``most`` at once. Made before the fork. Whose bucket is
    meant is said by ``mark``, an integer of 64 bits that is not 0; ``now`` is the monotonic clock."""

    __slots__ = ("_full_at", "_marks", "_room", "interval", "most")

    def __init__(self, interval: float, most: int) -> None:
        self.interval = interval
        self.most = most
        self._room = interval * most + _NOTHING
        memory = memoryview(mmap.mmap(-1, 16 * ROWS))  # pages are taken only when they are written
        self._marks = memory[: 8 * ROWS].cast("Q")
        self._full_at = memory[8 * ROWS :].cast("d")

    def wait(self, mark: int, now: float) -> float:
        """Seconds until one more may come, 0 for now."""
        row = self._row(mark)
        if row < 0:
            return 0.0
        return max(0.0, self._full_at[row] - now + self.interval - self._room)

    def take(self, mark: int, now: float, many: float = 1) -> float:
        """``many`` have come, whether there was room or not; returns the seconds until the bucket is full again."""
        row = self._row(mark)
        if row < 0:
            row = self._make_room(mark, now)
        full_at = max(self._full_at[row], now) + many * self.interval
        self._full_at[row] = full_at
        return full_at - now

    def debt(self, mark: int, now: float) -> float:
        """Seconds until the bucket is full again."""
        row = self._row(mark)
        return 0.0 if row < 0 else max(0.0, self._full_at[row] - now)

    def forget(self, mark: int) -> None:
        """The bucket is full."""
        row = self._row(mark)
        if row >= 0:
            self._full_at[row] = 0.0

    def _row(self, mark: int) -> int:
        first = mark % SETS * WAYS
        marks = self._marks[first : first + WAYS].tolist()
        return first + marks.index(mark) if mark in marks else -1

    def _make_room(self, mark: int, now: float) -> int:
        first = mark % SETS * WAYS
        times = self._full_at[first : first + WAYS].tolist()
        row = first + times.index(min(times))
        self._marks[row] = 0  # nobody finds another's time under the new mark
        self._full_at[row] = now
        self._marks[row] = mark
        return row
