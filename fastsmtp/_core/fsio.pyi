"""File-system calls in batches, made without the GIL (ext/fastsmtp/_core/fsio.pyx; twin: _py_fsio.py).

An errno is 0 when the item went well. Names are bytes without a slash, taken in the directory given by its
open descriptor; a last component is never followed when it is a symbolic link.

A job is a tuple ``(directory, name, destination, offset, length, …)``, so that one serves for writing and for
moving; what follows is not looked at.
"""

from collections.abc import Sequence
from typing import Any

from typing_extensions import Buffer

def write_files(
    buffer: Buffer, jobs: Sequence[tuple[Any, ...]], lf: bool = False, sync: bool = False
) -> list[int]:
    """Create one file (0600) a job and write its range of ``buffer``; the errno of each.

    A file of that name is removed first. ``lf`` turns every CRLF into LF, ``sync`` ends each file with
    fdatasync(2). A file that could not be written whole is removed. Raises ValueError for a range outside the
    buffer.
    """

def rename_files(jobs: Sequence[tuple[Any, ...]]) -> list[int]:
    """Move each file from its directory into the destination by renameat(2) under the same name; the errno of
    each. Offset and length may be left out."""

def link_file(from_directory: int, from_name: bytes, directory: int, name: bytes) -> int:
    """linkat(2); a file of that name is removed first. The errno."""

def copy_file(source: int, length: int, directory: int, name: bytes, sync: bool = False) -> int:
    """Create a file (0600) from the first ``length`` bytes of the open file ``source`` by copy_file_range(2),
    or by reading and writing where that cannot be. The errno; EINVAL when the source is shorter."""

def count_crlf(buffer: Buffer, offset: int, length: int) -> int:
    """How many CRLF the range holds. Raises ValueError for a range outside the buffer."""

def append(fd: int, data: Buffer, offset: int, sync: bool) -> int:
    """Write all of ``data`` at ``offset`` by pwrite(2), then, if asked for, fdatasync(2). The errno."""

def syncfs(fd: int) -> int:
    """syncfs(2): all that was written on the file system of ``fd`` is on stable storage. The errno."""

def let_others_run() -> None:
    """Give the CPU and the GIL to whoever is waiting for them (sched_yield(2)); at once back when nobody is."""
