"""Writing to a file by a thread: a write that makes a file longer may wait for the file system's journal, for as long
as deliveries are synced."""

import os
import threading
from collections import deque

from fastsmtp.telemetry.outlet import Missing

MOST_WAITING = 1 << 20
"""Bytes that wait for the thread at most."""


class FileOutlet:
    """As `Outlet`, for a regular file ``fd``; `close` ends the thread."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pieces: deque[tuple[bytes, int]] = deque()
        self._size = 0
        self._lost = self._untold = 0
        self._torn = False
        self._changed = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, data: bytes, told: int = 0) -> int:
        """Take ``data``, all or nothing of it; returns how many bytes. Its last line may tell that ``told`` events
        were lost."""
        with self._changed:
            if self._size and self._size + len(data) > MOST_WAITING:
                return 0
            self._pieces.append((data, told))
            self._size += len(data)
            self._changed.notify_all()
        return len(data)

    def lost(self) -> Missing:
        """What could not be written since this was asked last."""
        with self._changed:
            missing = Missing(self._lost, self._untold)
            self._lost = self._untold = 0
        return missing

    def wait(self, seconds: float) -> None:
        """Until all is written, for so many seconds at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._size, seconds)

    def close(self, seconds: float) -> None:
        """The thread ends when all is written, or after so many seconds the next write is its last."""
        self.wait(seconds)
        with self._changed:
            self._ending = True
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pieces or self._ending)
                if self._ending:
                    return
                pieces = list(self._pieces)
                self._pieces.clear()
            data = b"".join(piece for piece, _ in pieces)
            missing = _missing(pieces, self._write(data))
            with self._changed:
                self._size -= len(data)
                self._lost += missing.events
                self._untold += missing.untold
                self._changed.notify_all()

    def _write(self, data: bytes) -> int:
        """How much of ``data`` is written."""
        written = 0
        try:
            if self._torn:  # end the line that the disk had no room for, or it would spoil the next
                os.write(self._fd, b"\n")
                self._torn = False
            while written < len(data):
                written += os.write(self._fd, memoryview(data)[written:])
        except OSError:
            self._torn = self._torn or (written > 0 and data[written - 1 : written] != b"\n")
        return written


def _missing(pieces: list[tuple[bytes, int]], written: int) -> Missing:
    """What is missing when so many octets of ``pieces`` are written."""
    events = untold = 0
    for piece, told in pieces:
        events += piece.count(b"\n", min(max(written, 0), len(piece)))
        if told and written < len(piece):
            events -= 1
            untold += told
        written -= len(piece)
    return Missing(events, untold)
