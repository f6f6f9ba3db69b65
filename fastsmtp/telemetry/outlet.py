"""Writing to a descriptor that somebody may have stopped reading, without ever waiting for him.

Standard error is shared: with the other workers, the shell, whoever started us. O_NONBLOCK is a property of what
they share, so it is not set there. A pipe or terminal is opened once more, which gives a description of our own;
where that is not allowed (the user changed since), each write first asks whether there is room. Several processes
that ask at the same time may still find room for one of them only, so this is second best.
"""

import os
import select
import socket
import stat
from typing import NamedTuple

PIECE = select.PIPE_BUF
"""Bytes a pipe takes whole or not at all: lines of several processes do not mix within one write."""


class Missing(NamedTuple):
    """So many events are lost since the last time; ``untold``: that so many were lost earlier was told in vain."""

    events: int
    untold: int


NOTHING = Missing(0, 0)


class Outlet:
    """Writes to ``fd``, which stays the caller's."""

    __slots__ = ("_asks", "_fd", "_poll", "_size", "_socket")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._size = 0
        self._asks = False
        self._socket: socket.socket | None = None
        try:
            mode = os.fstat(fd).st_mode
            if stat.S_ISSOCK(mode):
                self._size = PIECE
                self._socket = socket.socket(fileno=os.dup(fd))
            elif stat.S_ISFIFO(mode) or os.isatty(fd):
                self._size = PIECE
                self._asks = True
                self._fd = os.open(
                    f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
                )
                self._asks = False
        except OSError:
            pass  # what cannot be found out now, the first write tells
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)

    def write(self, data: bytes) -> int:
        """Write as much of ``data`` as there is room for, in whole lines where they fit `PIECE`; returns how many
        bytes. A file takes all of it in one write. Raises OSError when nobody can read it any more."""
        view = memoryview(data)
        done = 0
        try:
            while done < len(data):
                done += self._write(view[done : self._end(data, done)])
        except BlockingIOError:
            pass
        except OSError:
            if not done:
                raise
        return done

    def wait(self, seconds: float) -> None:
        """Until there may be room, for so many seconds at most."""
        self._poll.poll(seconds * 1000)

    def _end(self, data: bytes, start: int) -> int:
        """Where the piece that begins at ``start`` ends."""
        if not self._size or len(data) - start <= self._size:
            return len(data)
        line_end = data.rfind(b"\n", start, start + self._size) + 1
        return line_end or start + self._size

    def _write(self, piece: memoryview) -> int:
        if self._socket is not None:
            return self._socket.send(piece, socket.MSG_DONTWAIT)
        if self._asks and not self._poll.poll(0):
            raise BlockingIOError
        return os.write(self._fd, piece)
