"""The plain twin of ext/fastsmtp/_core/fsio.pyx, written to be read; the interface is in fsio.pyi."""

import contextlib
import ctypes
import errno
import os
import time
from collections.abc import Sequence
from typing import Any

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_RANGE_COPY = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def _create(directory: int, name: bytes) -> int:
    try:
        return os.open(name, _CREATE, 0o600, dir_fd=directory)
    except FileExistsError:
        os.unlink(name, dir_fd=directory)
        return os.open(name, _CREATE, 0o600, dir_fd=directory)


def _write_all(fd: int, data: Any) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _finish(fd: int, directory: int, name: bytes, error: int, sync: bool) -> int:
    try:
        if not error and sync:
            os.fdatasync(fd)
    except OSError as problem:
        error = problem.errno or errno.EIO
    try:
        os.close(fd)
    except OSError as problem:
        error = error or problem.errno or errno.EIO
    if error:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=directory)
    return error


def _range(buffer: Any, offset: int, length: int) -> memoryview:
    view = memoryview(buffer)
    if offset < 0 or length < 0 or offset > len(view) - length:
        raise ValueError("a range outside the buffer")
    return view[offset : offset + length]


def write_files(
    buffer: Any, jobs: Sequence[tuple[Any, ...]], lf: bool = False, sync: bool = False
) -> list[int]:
    """Create one file a job and write its range of the buffer; the errno of each."""
    result = []
    for directory, name, _, offset, length, *_ in jobs:
        data: Any = _range(buffer, offset, length)
        if lf:
            data = bytes(data).replace(b"\r\n", b"\n")
        error = 0
        try:
            fd = _create(directory, name)
        except OSError as problem:
            result.append(problem.errno or errno.EIO)
            continue
        try:
            _write_all(fd, data)
        except OSError as problem:
            error = problem.errno or errno.EIO
        result.append(_finish(fd, directory, name, error, sync))
    return result


def rename_files(jobs: Sequence[tuple[Any, ...]]) -> list[int]:
    """Move files from one directory into another under the same name; the errno of each."""
    result = []
    for directory, name, other, *_ in jobs:
        try:
            os.rename(name, name, src_dir_fd=directory, dst_dir_fd=other)
            result.append(0)
        except OSError as problem:
            result.append(problem.errno or errno.EIO)
    return result


def link_file(from_directory: int, from_name: bytes, directory: int, name: bytes) -> int:
    """Link a file under another name, which is free afterwards to be taken; the errno."""

    def link() -> None:
        os.link(from_name, name, src_dir_fd=from_directory, dst_dir_fd=directory, follow_symlinks=False)

    try:
        try:
            link()
        except FileExistsError:
            os.unlink(name, dir_fd=directory)
            link()
    except OSError as problem:
        return problem.errno or errno.EIO
    return 0


def _copy(source: int, fd: int, length: int) -> int:
    offset = 0
    try:
        while offset < length:
            moved = os.copy_file_range(source, fd, length - offset, offset_src=offset)
            if not moved:
                break
            offset += moved
    except OSError as problem:
        if problem.errno not in _NO_RANGE_COPY:
            raise
    while offset < length:
        data = os.pread(source, 16384, offset)
        if not data:
            return errno.EINVAL
        _write_all(fd, data)
        offset += len(data)
    return 0


def copy_file(source: int, length: int, directory: int, name: bytes, sync: bool = False) -> int:
    """Create a file from the first bytes of an open one; the errno."""
    try:
        fd = _create(directory, name)
    except OSError as problem:
        return problem.errno or errno.EIO
    try:
        error = _copy(source, fd, length)
    except OSError as problem:
        error = problem.errno or errno.EIO
    return _finish(fd, directory, name, error, sync)


def count_crlf(buffer: Any, offset: int, length: int) -> int:
    """How many CRLF the range holds."""
    return bytes(_range(buffer, offset, length)).count(b"\r\n")


def append(fd: int, data: Any, offset: int, sync: bool) -> int:
    """Write all of ``data`` at ``offset``, durably if asked for; the errno."""
    rest = memoryview(data)
    try:
        while rest:
            written = os.pwrite(fd, rest, offset)
            rest = rest[written:]
            offset += written
        if sync:
            os.fdatasync(fd)
    except OSError as problem:
        return problem.errno or errno.EIO
    return 0


def syncfs(fd: int) -> int:
    """All that was written on the file system of ``fd`` is on stable storage; the errno."""
    libc = ctypes.CDLL(None, use_errno=True)
    return ctypes.get_errno() or errno.EIO if libc.syncfs(fd) else 0


def let_others_run() -> None:
    """Give the CPU and the GIL to whoever is waiting for them."""
    time.sleep(0)
