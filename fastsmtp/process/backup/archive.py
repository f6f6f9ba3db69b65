"""A backup as a directory or as a tar file: files written one after another, and read again in that order."""

import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, BinaryIO, Protocol

import msgspec

from fastsmtp.process.backup.manifest import HEAD, MANIFEST, Entry, Head, Manifest

PIECE = 1 << 20
_SYNC_EVERY = 8 << 20
"""Octets after which what was written is flushed: the disk never has much to write at once, while the server's
journal waits for it too."""
_PART = ".part"


class Output(Protocol):
    """Where one file is being written to."""

    def write(self, data: bytes) -> object:
        """Append."""


class ArchiveWriter:
    """Makes the backup ``path``: a tar file when it is called ``*.tar``, else a directory. It has its name when it is
    whole. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + _PART)
        self._tar: BinaryIO | None = None
        self._files: dict[str, Entry] = {}
        if path.suffix == ".tar":
            fd = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._tar = os.fdopen(fd, "w+b")
        else:
            self._part.mkdir(mode=0o700)

    def begin(self, head: Head) -> None:
        """The first file."""
        self._plain(HEAD, msgspec.json.format(msgspec.json.encode(head), indent=2))

    @contextmanager
    def file(self, name: str, mode: int = 0o600, mtime: float = 0.0) -> Iterator[Output]:
        """One file; ``mtime`` in seconds since 1970 UTC."""
        out = _Counted(self._tar if self._tar is not None else self._made(name))
        if self._tar is None:
            with out.stream:
                yield out
                out.flush()
                os.fchmod(out.stream.fileno(), mode)
            os.utime(self._part / name, (mtime, mtime))
        else:
            start = self._tar.tell()
            self._tar.write(_header(name, 0, mode, mtime))
            yield out
            self._tar.write(bytes(-out.size % tarfile.BLOCKSIZE))
            end = self._tar.tell()
            self._tar.seek(start)
            self._tar.write(_header(name, out.size, mode, mtime))
            self._tar.seek(end)
            out.flush()
        self._files[name] = Entry(out.size, out.digest.hexdigest(), mode)

    def has(self, name: str) -> bool:
        """Whether there is such a file already."""
        return name in self._files

    def finish(self) -> int:
        """All is there; the octets of all files."""
        entries = {name: entry for name, entry in self._files.items() if name != HEAD}
        self._plain(MANIFEST, msgspec.json.format(msgspec.json.encode(Manifest(entries)), indent=2))
        if self._tar is not None:
            self._tar.write(bytes(2 * tarfile.BLOCKSIZE))
            self._tar.flush()
            os.fsync(self._tar.fileno())
            self._tar.close()
        os.rename(self._part, self._path)
        _sync_directory(self._path.parent)
        return sum(entry.size for entry in entries.values())

    def abandon(self) -> None:
        """It failed: nothing of it is left."""
        if self._tar is not None:
            self._tar.close()
            self._part.unlink(missing_ok=True)
            return
        remove_tree(self._part)

    def _plain(self, name: str, content: bytes) -> None:
        with self.file(name) as out:
            out.write(content)

    def _made(self, name: str) -> BinaryIO:
        place = self._part / name
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


class _Counted:
    """Counts, and flushes now and then."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.size = 0
        self.digest = sha256()
        self._synced = 0

    def write(self, data: bytes) -> int:
        self.stream.write(data)
        self.digest.update(data)
        self.size += len(data)
        if self.size - self._synced >= _SYNC_EVERY:
            self.flush()
        return len(data)

    def flush(self) -> None:
        self.stream.flush()
        os.fdatasync(self.stream.fileno())
        self._synced = self.size


class Member(Protocol):
    """One file of a backup that is read."""

    name: str
    size: int
    mode: int
    mtime: float

    def pieces(self) -> Iterator[bytes]:
        """What is in it."""


class _Member:
    def __init__(self, name: str, size: int, mode: int, mtime: float, stream: IO[bytes]) -> None:
        self.name = name
        self.size = size
        self.mode = mode
        self.mtime = mtime
        self._stream = stream

    def pieces(self) -> Iterator[bytes]:
        while data := self._stream.read(PIECE):
            yield data


def members(path: Path) -> Iterator[Member]:
    """The files of the backup ``path``, `HEAD` first and `MANIFEST` last. Raises OSError, tarfile.TarError."""
    if path.is_dir():
        names = sorted(str(one.relative_to(path)) for one in path.rglob("*") if one.is_file())
        names.sort(key=lambda name: (name != HEAD, name == MANIFEST))
        for name in names:
            with open(path / name, "rb") as stream:
                state = os.fstat(stream.fileno())
                yield _Member(name, state.st_size, state.st_mode & 0o777, state.st_mtime, stream)
        return
    with tarfile.open(path, "r:") as tar:
        for info in tar:
            content = tar.extractfile(info) if info.isreg() else None
            if content is None:
                raise tarfile.TarError(f"{info.name} is no file")
            yield _Member(info.name, info.size, info.mode & 0o777, float(info.mtime), content)


def size_of(path: Path) -> int:
    """About the octets to be read. Raises OSError."""
    if path.is_dir():
        return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
    return path.stat().st_size


def remove_tree(place: Path) -> None:
    """Remove a directory with all that is in it, if there is one. Raises OSError."""
    if not place.is_dir():
        return
    for folder, folders, files in os.walk(place, topdown=False):
        for name in files:
            os.unlink(os.path.join(folder, name))
        for name in folders:
            os.rmdir(os.path.join(folder, name))
    place.rmdir()


def _header(name: str, size: int, mode: int, mtime: float) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, mode, int(mtime)
    return info.tobuf(tarfile.GNU_FORMAT)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
