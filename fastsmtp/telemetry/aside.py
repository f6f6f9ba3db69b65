"""Writing to a file by a thread: a write that makes a file longer may wait for the file system's journal, for as long
as deliveries are synced."""

import os
import threading
from collections import deque

MOST_WAITING = 1 << 20
"""Bytes that wait for the thread at most."""


class FileOutlet:
    """As `Outlet`, for a regular file ``fd``; `close` ends the thread."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._lost = 0
        self._changed = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> int:
        """Take ``data``, all or nothing of it; returns how many bytes."""
        with self._changed:
            if self._size and self._size + len(data) > MOST_WAITING:
                return 0
            self._pieces.append(data)
            self._size += len(data)
            self._changed.notify_all()
        return len(data)

    def lost(self) -> int:
        """Lines that could not be written since this was asked last."""
        with self._changed:
            lost, self._lost = self._lost, 0
        return lost

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
                data = b"".join(self._pieces)
                self._pieces.clear()
            lost = 0
            try:
                written = os.write(self._fd, data)
                while written < len(data):
                    written += os.write(self._fd, memoryview(data)[written:])
            except OSError:
                lost = data.count(b"\n")
            with self._changed:
                self._size -= len(data)
                self._lost += lost
                self._changed.notify_all()
