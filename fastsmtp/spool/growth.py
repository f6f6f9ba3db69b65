"""Keeps the data file longer than LMDB needs it, by written pages, and knows when there is no room left.

A commit that makes a file grow also waits for the file system's journal. So the file is extended by zeros ahead
of LMDB's last page, on another thread, and the keeper keeps its transactions below what is written: the two
never touch the same bytes. When the disk is full or the map's end is reached, mail is admitted only while more
than the reserve is free, so that what was promised always fits.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path

SLICE = 4 << 20
MARGIN = 1 << 20
"""Bytes a transaction may need beyond its values: pages of the trees, the list of free pages."""
_ZEROS = bytes(1 << 20)
_RETRY = 1.0


class Growth:
    """Of the data file ``path``; sizes in bytes. ``run`` executes a callable on another thread."""

    def __init__(
        self,
        path: Path,
        *,
        map_size: int,
        ahead: int,
        reserve: int,
        run: Callable[[Callable[[], None]], object],
        monotonic: Callable[[], float],
    ) -> None:
        self._path = path
        self._map_size = map_size
        self._ahead = ahead
        self._reserve = reserve
        self._run = run
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._written = 0
        self._target = 0
        self._busy = False
        self._failed_at: float | None = None
        self._closed = False

    def start(self, high: int) -> None:
        """``high``: the bytes LMDB has in use. Begins to grow."""
        self._written = max(os.stat(self._path).st_size, high)
        self.grow(high)

    def stop(self) -> None:
        """Wait for the thread that grows."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._busy)

    def grow(self, high: int) -> None:
        """See to it that enough is written beyond ``high``. Called between transactions."""
        with self._changed:
            self._written = max(self._written, high)
            if self._busy or self._closed or self._written >= self._map_size:
                return
            if self._written - high >= self._reserve + self._ahead // 2:
                return
            if self._failed_at is not None and self._monotonic() - self._failed_at < _RETRY:
                return
            self._target = min(high + self._reserve + self._ahead, self._map_size)
            self._busy = True
        self._run(self._slice)

    def admit(self, high: int, need: int, used: Callable[[], int]) -> bool:
        """Whether a transaction with ``need`` bytes of new mail may begin; waits for growth when that helps."""
        need += MARGIN
        self.grow(high)
        with self._changed:
            self._changed.wait_for(lambda: high + need <= self._written or not self._busy)
            stuck = self._failed_at is not None or self._written >= self._map_size
            if high + need + (self._reserve if stuck else 0) <= self._written:
                return True
            if not stuck:
                # Grown as far as was asked for, and yet too little: a transaction larger than `ahead`.
                return self._written + need + self._reserve <= self._map_size
            # While the file cannot grow, its own thread is not at work: LMDB may use what is free in it.
            return self._written - used() >= need + self._reserve

    def fits(self, high: int, need: int, used: Callable[[], int]) -> bool:
        """Whether ``need`` more bytes can be put into the tree some time, the reserve left alone; never waits."""
        need += MARGIN + self._reserve
        self.grow(high)
        with self._changed:
            if high + need <= self._written:
                return True
            if self._failed_at is None and self._written < self._map_size:
                return high + need <= self._map_size
            return self._written - used() >= need

    def settle(self) -> None:
        """Wait until nothing is being written: a transaction that ignores the limit may follow."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy)

    def _slice(self) -> None:
        start = self._written
        end = min(start + SLICE, self._target)
        failed = True
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                at = start
                while at < end:
                    at += os.pwrite(fd, _ZEROS[: end - at], at)
                os.fdatasync(fd)
            finally:
                os.close(fd)
            failed = False
        except OSError:
            pass  # no room; what is free already is handed out while more than the reserve is left
        finally:
            with self._changed:
                if failed:
                    self._failed_at = self._monotonic()
                else:
                    self._failed_at = None
                    self._written = end
                more = not failed and end < self._target and not self._closed
                self._busy = more
                self._changed.notify_all()
        if more:
            self._run(self._slice)
