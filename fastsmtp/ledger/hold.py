"""Segments that this process may write: nobody else does while it holds the lock."""

import fcntl
import os
from pathlib import Path

from fastsmtp.ledger.format import Place, header_line, read_header, segment_name

_TAIL = 1 << 16


class Held:
    """A segment of ours. ``size`` in octets, ``begun`` in seconds since 1970 UTC, ``events`` those that this process
    has written."""

    __slots__ = ("begun", "events", "fd", "path", "size")

    def __init__(self, path: Path, fd: int, size: int, begun: float) -> None:
        self.path = path
        self.fd = fd
        self.size = size
        self.begun = begun
        self.events = 0

    def close(self) -> None:
        """Let go of it, and of its lock."""
        os.close(self.fd)

    def intact(self) -> bool:
        """Whether the file is still where it was, and as long as it was written."""
        try:
            there, ours = os.stat(self.path, follow_symlinks=False), os.fstat(self.fd)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino) and ours.st_size == self.size


def begin(directory: Path, now: float) -> Held:
    """A new segment; the directory is made where there is none. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path, head = directory / segment_name(now), header_line(now)
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.write(fd, head) != len(head):
            os.write(fd, head)  # raises the reason
    except OSError:
        os.close(fd)
        path.unlink(missing_ok=True)
        raise
    return Held(path, fd, len(head), now)


def take(place: Place) -> Held | None:
    """A segment that nobody writes, its last line whole; None when somebody does. Raises `LedgerError` for a file
    that is none, OSError."""
    fd = os.open(place.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        begun = read_header(fd, place.path).at  # before it is cut: what is not ours is left as it is
        held = Held(place.path, fd, _trimmed(fd), begun)
        if held.intact():
            return held
    except BlockingIOError:
        pass
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _trimmed(fd: int) -> int:
    """Cut off what a process has not written to its end; returns the size."""
    size = os.fstat(fd).st_size
    end = size
    while end > 0:
        start = max(0, end - _TAIL)
        cut = os.pread(fd, end - start, start).rfind(b"\n") + 1
        if cut:
            end = start + cut
            break
        end = start
    if end != size:
        os.ftruncate(fd, end)
    return end
