"""Large bodies on their way into files of their own, written by a few threads with bounded memory.

A file has no name until it is whole (O_TMPFILE): a client that vanishes leaves nothing behind, and what a crash
leaves is removed at the next start. The steps are named for the fault hook: ``body-written``, ``body-linked``,
``body-synced``, ``body-durable``.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

from fastsmtp.spool.base import SpoolError, SpoolFailed, SpoolFull
from fastsmtp.spool.faults import told

PER_FILE = 1 << 20
"""Bytes that wait for one file at most, but for the piece that crosses the line."""
OVER_ALL = 24 << 20
"""Bytes that wait for all files of a worker."""
_RESUME = 256 << 10
_RESUME_ALL = 16 << 20
_PIECES = 64
_THREADS = 4
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Post = Callable[[Callable[[], None]], object]


def as_spool_error(error: Exception, what: str) -> SpoolError:
    """The spool's error for an error of the system, or for a fault of ours."""
    if not isinstance(error, OSError):
        return SpoolFailed(f"{what}: {told(error)}")
    if error.errno in _FULL:
        return SpoolFull(f"{what}: {error.strerror}")
    return SpoolFailed(f"{what}: {error.strerror}")


class BodyPool:
    """The threads, and the directory ``path`` the files stand in."""

    def __init__(
        self, path: Path, post: Post, fault: Callable[[str], None], event: Callable[[str], None]
    ) -> None:
        self.path = path
        self.post = post
        self.fault = fault
        self._event = event
        self.directory = -1
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"body-{n}", daemon=True) for n in range(_THREADS)
        ]
        self.lock = threading.Lock()
        self.waiting_bytes = 0
        self.stopped: set[FileBody] = set()
        self._keepers = 0
        self._kept: list[str] = []

    def start(self) -> None:
        """Open the directory, begin the threads. Raises OSError."""
        self.directory = self._open_directory()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish what was begun, end the threads."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def close(self) -> None:
        """Close the directory, when the threads have ended."""
        if self.directory >= 0:
            os.close(self.directory)
            self.directory = -1

    def _open_directory(self) -> int:
        self.path.mkdir(mode=0o700, exist_ok=True)
        return os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def look_again(self) -> None:
        """The directory seems gone: go on with what stands, or is made, in its place. Raises OSError."""
        fd = self._open_directory()
        os.dup2(fd, self.directory, inheritable=False)
        os.close(fd)

    def run(self, action: Callable[[], None]) -> None:
        """Call ``action`` on one of the threads."""
        self._work.put(action)

    def open(self, queue_id: str, prefix: bytes) -> "FileBody":
        """Begin a file; ``prefix`` is written first."""
        return FileBody(self, queue_id, prefix)

    def keep(self) -> None:
        """From now on no file is removed, until `let_go` was called as often."""
        with self.lock:
            self._keepers += 1

    def let_go(self) -> None:
        """Remove what was to be removed meanwhile."""
        with self.lock:
            self._keepers -= 1
            if self._keepers:
                return
            waiting, self._kept = self._kept, []
        for queue_id in waiting:
            self.remove(queue_id)

    def remove(self, queue_id: str) -> None:
        """Remove a file whose message is gone from the spool; what fails is found again at the next start."""
        with self.lock:
            if self._keepers:
                self._kept.append(queue_id)
                return
        with contextlib.suppress(OSError):
            os.unlink(queue_id, dir_fd=self.directory)

    def _run(self) -> None:
        while (action := self._work.get()) is not None:
            try:
                action()
            except Exception as error:  # a fault of ours: the thread goes on with the next
                self._event(f"spool {self.path}: {told(error)}")


class FileBody:
    """See `fastsmtp.spool.base.BodyFile`. Pieces are taken on the loop's thread and written on one of the
    pool's at a time."""

    __slots__ = ("_aborted", "_done", "_error", "_fd", "_pieces", "_pool", "_running", "_stopped", "_waiting",
                 "on_drain", "queue_id", "size")  # fmt: skip

    def __init__(self, pool: BodyPool, queue_id: str, prefix: bytes) -> None:
        self.on_drain: Callable[[], None] | None = None
        self.queue_id = queue_id
        self.size = len(prefix)
        self._pool = pool
        self._pieces: list[bytes] = [prefix]
        self._waiting = len(prefix)
        self._running = False
        self._stopped = False
        self._aborted = False
        self._fd = -1
        self._error: SpoolError | None = None
        self._done: Callable[[SpoolError | None], None] | None = None
        with pool.lock:
            pool.waiting_bytes += len(prefix)

    def write(self, piece: bytes) -> bool:
        """See `BodyFile.write`."""
        pool = self._pool
        size = len(piece)
        with pool.lock:
            self.size += size
            self._pieces.append(piece)
            self._waiting += size
            pool.waiting_bytes += size
            start = not self._running
            self._running = True
            if self._waiting >= PER_FILE or pool.waiting_bytes >= OVER_ALL:
                self._stopped = True
                pool.stopped.add(self)
            go_on = not self._stopped
        if start:
            pool.run(self._write_some)
        return go_on

    def abort(self) -> None:
        """See `BodyFile.abort`."""
        self._end(None, aborted=True)

    def finish(self, done: Callable[[SpoolError | None], None]) -> None:
        """Make the file durable under its name, then call ``done`` on a thread of the pool."""
        self._end(done, aborted=False)

    def _end(self, done: Callable[[SpoolError | None], None] | None, *, aborted: bool) -> None:
        with self._pool.lock:
            self.on_drain = None
            self._aborted = self._aborted or aborted
            self._done = done
            start = not self._running
            self._running = True
        if start:
            self._pool.run(self._write_some)

    def _write_some(self) -> None:
        pool = self._pool
        with pool.lock:
            pieces = self._pieces[:_PIECES]
            del self._pieces[:_PIECES]
        size = sum(map(len, pieces))
        if not self._error and not self._aborted:
            try:
                self._write(pieces, size)
            except Exception as error:
                self._failed(error)
        with pool.lock:
            self._waiting -= size
            pool.waiting_bytes -= size
            self._wake()
            more = bool(self._pieces)
            ending = not more and (self._done is not None or self._aborted)
            self._running = more or ending
        if more:
            pool.run(self._write_some)
        elif ending:
            self._complete()

    def _wake(self) -> None:
        pool = self._pool
        if not pool.stopped or pool.waiting_bytes > _RESUME_ALL:
            return
        for body in [body for body in pool.stopped if body._waiting <= _RESUME]:
            pool.stopped.discard(body)
            body._stopped = False
            pool.post(body._drained)

    def _drained(self) -> None:
        if self.on_drain is not None and not self._stopped:
            self.on_drain()

    def _write(self, pieces: list[bytes], size: int) -> None:
        if self._fd < 0:
            self._fd = os.open(self._pool.path, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
        written = os.writev(self._fd, pieces)
        if written < size:
            rest = memoryview(b"".join(pieces))[written:]
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        self._pool.fault("body-written")

    def _complete(self) -> None:
        pool = self._pool
        if not self._aborted and not self._error:
            linked = False
            try:
                # Named before it is synced: one commit of the file system's journal takes both, and a file
                # that no record speaks of yet may stand there half.
                os.link(
                    f"/proc/self/fd/{self._fd}",
                    self.queue_id,
                    dst_dir_fd=pool.directory,
                    follow_symlinks=True,
                )
                linked = True
                pool.fault("body-linked")
                os.fdatasync(self._fd)
                pool.fault("body-synced")
                os.fsync(pool.directory)
                pool.fault("body-durable")
            except Exception as error:
                if linked:
                    pool.remove(self.queue_id)
                self._failed(error)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._done is not None:
            self._done(self._error)

    def _failed(self, error: Exception) -> None:
        self._error = as_spool_error(error, f"{self._pool.path}/{self.queue_id}")
        if isinstance(error, FileNotFoundError):
            with contextlib.suppress(OSError):
                self._pool.look_again()
