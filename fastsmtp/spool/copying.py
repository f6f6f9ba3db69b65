"""A copy of a shard while it is at work: what was committed up to one moment, and nothing after it.

Between two commits the writer notes which parts of the journal are wanted, pins them, and begins a read transaction
of the tree; that takes microseconds. The parts are copied aside at once, so that the journal goes round again after
a moment however slowly the copy is taken. The tree follows from its transaction. Body files stand still once they
have a name; none is removed until whoever copies has them.

The stream: `HEAD`, the journal, then the tree to the end. Then the other end copies the body files, and says `TAKEN`.
"""

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fastsmtp.spool.base import SpoolError, SpoolFailed
from fastsmtp.spool.bodies import BodyPool
from fastsmtp.spool.changes import Changes, Job
from fastsmtp.spool.journal import Journal, Region
from fastsmtp.spool.tables import Tables
from fastsmtp.store import StorageError, Store

HEAD = struct.Struct("<8sQ")
"""`MAGIC`, and the length of the journal."""
MAGIC = b"fsmtpC1\n"
TAKEN = b"."
PATIENCE = 3600
"""Seconds the other end may take nothing; until then the pages of the tree that it wants cannot be used again."""
_LOOK, _LOOKS = 0.2, 150
"""Seconds, and how often: for the writer to come between two commits."""
_PIECE = 1 << 20


class Copies:
    """Makes copies of one shard, each on a thread of whoever wants it. ``job`` is the writer's."""

    def __init__(
        self,
        path: Path,
        store: Store,
        tables: Tables,
        journal: Journal,
        bodies: BodyPool,
        job: Callable[[Job], None],
    ) -> None:
        self._path = path
        self._store = store
        self._tables = tables
        self._journal = journal
        self._bodies = bodies
        self._job = job
        self._changed = threading.Condition()
        self._sockets: set[socket.socket] = set()
        self._ended = False

    def send(self, sock: socket.socket) -> None:
        """Write a copy into ``sock``, and wait until the other end has taken all. Raises `SpoolError`."""
        with self._changed:
            if self._ended:
                raise SpoolFailed(f"{self._path}: the shard is being closed")
            self._sockets.add(sock)
        self._bodies.keep()
        try:
            sock.setblocking(True)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", PATIENCE, 0))
            self._send(sock)
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(PATIENCE)
            if sock.recv(1) != TAKEN:
                raise SpoolFailed(f"{self._path}: the copy was given up")
        except StorageError as error:
            raise SpoolFailed(f"{self._path}: the copy ended early: {error}") from None
        finally:
            self._bodies.let_go()
            with self._changed:
                self._sockets.discard(sock)
                self._changed.notify_all()

    def stop(self) -> None:
        """Give up what is being copied, and wait for its end; nothing is begun any more."""
        with self._changed:
            self._ended = True
            for sock in self._sockets:
                interrupt(sock)
            self._changed.wait_for(lambda: not self._sockets)

    def _send(self, sock: socket.socket) -> None:
        moment = self._frozen(lambda: interrupt(sock))
        try:
            aside = self._aside(moment)
            try:
                length = os.fstat(aside).st_size
                sock.sendall(HEAD.pack(MAGIC, length))
                at = 0
                while at < length:
                    at += os.sendfile(sock.fileno(), aside, at, length - at)
            finally:
                os.close(aside)
            self._store.copy(moment.txn, sock.fileno())
        finally:
            moment.end()

    def _frozen(self, give_up: Callable[[], None]) -> "_Moment":
        """Between two commits. Raises `SpoolError`."""
        moment = _Moment(self._tables, self._store, give_up)
        come = threading.Event()
        failed: list[SpoolError] = []

        def done(error: SpoolError | None) -> None:
            if error is not None:
                failed.append(error)
            come.set()

        self._job(Job(moment.take, done, urgent=True))
        if not any(self._ended or come.wait(_LOOK) for _ in range(_LOOKS)) or not come.is_set():
            moment.end()
            raise SpoolFailed(f"{self._path}: nothing can be committed now; its log says why")
        if failed or moment.txn is None:
            moment.end()
            raise failed[0] if failed else SpoolFailed(f"{self._path}: {moment.problem}")
        return moment

    def _aside(self, moment: "_Moment") -> int:
        """A file without a name that holds the journal as it was then. Raises OSError."""
        fd = os.open(self._path, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, self._journal.head())
            while moment.regions:
                region, end = moment.regions[0]
                at = 0
                while at < end:
                    at += os.write(fd, region.view[at : min(end, at + _PIECE)])
                moment.unpin()
        except BaseException:
            os.close(fd)
            raise
        return fd


class _Moment:
    """What was there between two commits: ``regions`` that are not copied yet, with how much of each, and ``txn``."""

    def __init__(self, tables: Tables, store: Store, give_up: Callable[[], None]) -> None:
        self.regions: list[tuple[Region, int]] = []
        self.txn: Any = None
        self.problem = ""
        self._tables = tables
        self._store = store
        self._give_up = give_up
        self._lock = threading.Lock()
        self._over = False

    def take(self, changes: Changes) -> None:
        """The `Job`: it changes nothing. It may be called again when its commit fails."""
        with self._lock:
            if self._over or self.txn is not None:
                return
            self.regions = self._tables.pin_all()
            try:
                self.txn = self._store.begin_copy(self._give_up)
            except StorageError as error:
                self.problem = str(error)
                self._unpin_all()

    def unpin(self) -> None:
        """The first of ``regions`` is copied."""
        region, _ = self.regions.pop(0)
        self._tables.unpin(region)

    def end(self) -> None:
        """Nothing of it is needed any more."""
        with self._lock:
            self._over = True
            self._unpin_all()
            if self.txn is not None:
                self._store.end_copy(self.txn)
                self.txn = None

    def _unpin_all(self) -> None:
        while self.regions:
            self.unpin()


def interrupt(sock: socket.socket) -> None:
    """Make whatever another thread does with ``sock`` fail."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it has gone already


def received_journal(sock: socket.socket) -> Iterator[bytes]:
    """The other end of `Copies.send`: the journal, see `journal.complete_copy`. Raises `SpoolFailed`, OSError."""
    magic, length = HEAD.unpack(_exactly(sock, HEAD.size))
    if magic != MAGIC:
        raise SpoolFailed("what comes is no copy of a shard")
    while length:
        piece = _some(sock, min(length, _PIECE))
        yield piece
        length -= len(piece)


def received_tree(sock: socket.socket) -> Iterator[bytes]:
    """Then the tree; whether it is whole, only the sender can tell. After it copy the body files, and send `TAKEN`.
    Raises OSError."""
    while piece := sock.recv(_PIECE):
        yield piece


def _exactly(sock: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        data += _some(sock, length - len(data))
    return data


def _some(sock: socket.socket, most: int) -> bytes:
    data = sock.recv(most)
    if not data:
        raise SpoolFailed("the copy ended early")
    return data
