"""Where the control sockets lie: ``data_dir/control/SLOT``."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DIRECTORY = "control"
SPARE = "spare"
"""A file in the directory of a shard that was closed with nothing in it, and is kept for the next generation."""


def socket_path(data_dir: Path, slot: int) -> Path:
    """The socket of the worker of ``slot``."""
    return data_dir / DIRECTORY / str(slot)


def slots(data_dir: Path) -> list[int]:
    """The slots that have a socket, whether or not somebody listens. Raises OSError, but not for want of the
    directory."""
    return _numbers(data_dir / DIRECTORY)


def shards(data_dir: Path) -> list[int]:
    """The numbers of the spool's shards. Raises OSError as `slots` does."""
    return _numbers(data_dir / "spool")


def wanted_shards(data_dir: Path) -> list[int]:
    """Those of `shards` that a running server has open, but for moments. Raises OSError as `slots` does."""
    spool = data_dir / "spool"
    return [number for number in _numbers(spool) if not (spool / str(number) / SPARE).exists()]


@contextmanager
def reach(path: Path) -> Iterator[str]:
    """A name of the socket ``path`` that is short enough: the address of a socket holds 107 octets (unix(7)), a path
    may be longer. Raises OSError."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def _numbers(directory: Path) -> list[int]:
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def mark(path: Path) -> tuple[int, int, int]:
    """What tells the file at ``path`` from one that has taken its place: not its inode's number alone, which the next
    file may get. Raises OSError."""
    status = path.lstat()
    return status.st_dev, status.st_ino, status.st_mtime_ns
