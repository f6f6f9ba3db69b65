"""Requests that come twice: what the first one was answered, under the key that the client chose for it.

A record is a file, ``data_dir/web/keys/NAME``, locked for as long as its request is under way, by whichever
process. A worker writes beside it, in ``NAME.id``, what will be the outcome, before it promises anything: a message
that was stored when the HTTP process died is found by its queue id."""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

KEYS = "web/keys"
"""Where records lie, below ``data_dir``."""
KEPT = 86_400.0
"""Seconds that a record is good."""
LONGEST_KEY = 200
"""Characters of a client's key."""
_LARGEST = 1 << 20


class Past(Struct):
    """A record: ``digest`` is of the request, ``at`` when it came (seconds since 1970 UTC); ``status`` and ``answer``
    are its response, 0 while there is none."""

    digest: bytes
    at: float
    status: int = 0
    answer: bytes = b""


class Busy(Exception):
    """A request with that key is under way."""


class Record:
    """The record of one key, locked until `close`. ``past`` is None for a key that was never used, or long ago;
    ``named`` what a worker wrote beside it, empty when it did not come so far."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self.name = path.name
        self._path = path
        self._now = now
        self._file = _locked(path)
        try:
            self.past = self._read()
            self.named = _content(_beside(path)) if self.past is not None else b""
        except BaseException:
            os.close(self._file)
            raise

    def begin(self, digest: bytes) -> None:
        """A request with this key is carried out. Raises OSError."""
        with suppress(FileNotFoundError):
            _beside(self._path).unlink()
        self._write(Past(digest, self._now()))

    def end(self, digest: bytes, status: int, answer: bytes) -> None:
        """It was answered. Raises OSError."""
        self._write(Past(digest, self._now(), status, answer))
        with suppress(FileNotFoundError):
            _beside(self._path).unlink()

    def forget(self) -> None:
        """Nothing came of it: the key may be used as if it never had been."""
        for path in (_beside(self._path), self._path):
            with suppress(OSError):
                path.unlink()

    def close(self) -> None:
        """Let others have it."""
        os.close(self._file)

    def _read(self) -> Past | None:
        data = os.pread(self._file, _LARGEST, 0)
        if not data:
            return None
        try:
            past = msgspec.msgpack.decode(data, type=Past)
        except msgspec.MsgspecError:
            return None
        return past if past.at + KEPT > self._now() else None

    def _write(self, past: Past) -> None:
        data = msgspec.msgpack.encode(past)
        os.pwrite(self._file, data, 0)
        os.ftruncate(self._file, len(data))
        os.fsync(self._file)


def record_name(user: str, key: str) -> str:
    """The name of the record of ``key`` as ``user`` uses it."""
    return hashlib.sha256(f"{user}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()


def write_named(data_dir: Path, name: str, outcome: bytes) -> None:
    """Note what will be the outcome of the request of the record ``name``, on stable storage. In a thread. Raises
    OSError."""
    path = _beside(data_dir / KEYS / name)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(file, outcome)
        os.fsync(file)
    finally:
        os.close(file)


def sweep(directory: Path, now: float) -> None:
    """Remove the records that are too old. In a thread; what cannot be removed stays."""
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.stat(follow_symlinks=False).st_mtime + KEPT < now:
                    os.unlink(entry.path)


def _locked(path: Path) -> int:
    """The file, open and locked. Raises `Busy`, OSError."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_nlink:
                return file
        except BlockingIOError:
            os.close(file)
            raise Busy from None
        os.close(file)  # its last owner has removed it in between


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".id")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()[:_LARGEST]
    except FileNotFoundError:
        return b""
