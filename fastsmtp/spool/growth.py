"""Keeps the data file longer than LMDB needs it, by written pages, and knows when there is no room left.

A commit that makes a file grow also waits for the file system's journal. So the file is extended by zeros ahead
of LMDB's last page, on another thread, and a transaction waits until that is done (`settle`): the two must never
write the same bytes. When the disk is full or the map's end is reached, mail is admitted only while more
than the reserve is free, so that what was promised always fits.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path

SLICE = 4 << 20
MARGIN = 1 << 20
"""Bytes the tree may need beyond its values: branch pages, the list of free pages."""
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
        self.settle()
        self._written = max(os.stat(self._path).st_size, high)
        self.grow(high)

    def stop(self) -> None:
        """Wait for the thread that grows."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._busy)

    def grow(self, high: int) -> None:
        """See to it that enough is written beyond ``high``. Called between transactions, by the thread that begins
        them."""
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

    def fits(self, high: int, need: int, used: Callable[[], int]) -> bool:
        """Whether ``need`` more bytes can be put into the tree some time, the reserve left alone; never waits. Does
        not make the file grow: a transaction of another thread may be using what is behind its end."""
        need += MARGIN + self._reserve
        with self._changed:
            if high + need <= self._written:
                return True
            if self._failed_at is None and self._written < self._map_size:
                return high + need <= self._map_size
            return self._written - used() >= need

    def settle(self) -> None:
        """Wait until nothing is being written: a transaction may follow."""
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
