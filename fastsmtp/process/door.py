"""The master's control socket, `fastsmtp.control.master`: one request a connection, as at a worker's.

The master has no event loop, so its `selectors` loop serves it. An answer may come later."""

import os
import selectors
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from fastsmtp.clock import Clock
from fastsmtp.control.frame import (
    BUSY,
    HEAD_BYTES,
    NOT_ALLOWED,
    UNKNOWN,
    FrameError,
    Request,
    Response,
    body_length,
    frame,
    packed,
    unpacked,
    unreadable,
)
from fastsmtp.control.place import mark, reach
from fastsmtp.control.server import peer_uid

MOST_CONNECTIONS = 16
PATIENCE = 10.0
"""Seconds for a request to come, and for the answer to be taken."""
_MOST = 1024
"""Octets of a request."""

Answer = Callable[[object], None]
Handler = Callable[[Answer], None]
"""Begins what was asked; calls what it is given with the answer, at once or later."""


class _Visit:
    """One connection."""

    def __init__(self, sock: socket.socket, until: float, *, many: bool) -> None:
        self.sock = sock
        self.many = many
        """There were too many when it came."""
        self.until: float | None = until
        """When it is given up; None: what was asked is being done."""
        self.data = b""


class Door:
    """Listens at ``path``; only root and ``uid`` are answered. Made with the rights of the server's user."""

    def __init__(
        self,
        path: Path,
        uid: int,
        handlers: Mapping[str, Handler],
        *,
        selector: selectors.BaseSelector,
        clock: Clock,
    ) -> None:
        self._path = path
        self._uid = uid
        self._handlers = handlers
        self._selector = selector
        self._clock = clock
        self._visits: set[_Visit] = set()
        self._sock: socket.socket | None = None
        self._closed = False
        self._file: tuple[int, int, int] | None = None

    def open(self) -> None:
        """Listen, anew where we do already; what another process left there is replaced. Raises OSError."""
        self._leave()
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        self._path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            os.fchmod(sock.fileno(), 0o600)  # the file gets it, so that nobody can connect before
            with reach(self._path) as name:
                sock.bind(name)
            self._file = mark(self._path)
            sock.listen(MOST_CONNECTIONS)
            self._selector.register(sock, selectors.EVENT_READ, lambda: self._on_connection(sock))
        except OSError:
            sock.close()
            raise
        self._sock = sock

    def lost(self) -> bool:
        """Whether nobody finds us, though we are not closed: the file was removed, or could not be made."""
        if self._closed:
            return False
        try:
            return self._sock is None or mark(self._path) != self._file
        except OSError:
            return True

    def close(self) -> None:
        """Nobody is let in any more; who is inside is answered yet."""
        self._closed = True
        self._leave()

    def _leave(self) -> None:
        if self._sock is not None:
            self._selector.unregister(self._sock)
            self._sock.close()
            self._sock = None

    def remove(self) -> None:
        """The file goes, unless it is another's by now."""
        try:
            if mark(self._path) == self._file:
                self._path.unlink()
        except OSError:
            pass  # the next start replaces it

    def forget(self) -> None:
        """In a child: close what is the master's."""
        if self._sock is not None:
            self._sock.close()
        for visit in self._visits:
            visit.sock.close()

    def tick(self) -> None:
        """A second has passed."""
        now = self._clock.monotonic()
        for visit in list(self._visits):
            if visit.until is not None and now >= visit.until:
                self._end(visit)

    def _on_connection(self, listening: socket.socket) -> None:
        try:
            sock, _ = listening.accept()
        except OSError:
            return
        if len(self._visits) >= 2 * MOST_CONNECTIONS:
            sock.close()
            return
        sock.setblocking(False)
        many = len(self._visits) >= MOST_CONNECTIONS
        visit = _Visit(sock, self._clock.monotonic() + PATIENCE, many=many)
        self._visits.add(visit)
        self._selector.register(sock, selectors.EVENT_READ, lambda: self._on_data(visit))
        if peer_uid(sock) not in (0, self._uid):
            self._say(visit, NOT_ALLOWED)

    def _on_data(self, visit: _Visit) -> None:
        if visit not in self._visits:
            return
        try:
            data = visit.sock.recv(_MOST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or visit.until is None:  # it has gone, or says more than it may
            self._end(visit)
            return
        if visit.many:  # told only now: who is still writing would not hear it
            self._say(visit, BUSY)
            return
        visit.data += data
        try:
            if len(visit.data) < HEAD_BYTES or (
                len(visit.data) < HEAD_BYTES + body_length(visit.data[:HEAD_BYTES], _MOST)
            ):
                return
            request = unpacked(visit.data[HEAD_BYTES:], Request)
        except FrameError as error:
            self._say(visit, unreadable(error))
            return
        handler = self._handlers.get(request.verb)
        if handler is None:
            self._say(visit, UNKNOWN)
            return
        visit.until = None
        handler(lambda answer: self._say(visit, Response(packed(answer))))

    def _say(self, visit: _Visit, response: Response) -> None:
        if visit not in self._visits:
            return
        try:
            visit.sock.settimeout(1.0)  # it fits into the socket's buffer; whoever asks is trusted
            visit.sock.sendall(frame(response))
        except OSError:
            pass  # whoever asked has gone
        self._end(visit)

    def _end(self, visit: _Visit) -> None:
        self._visits.discard(visit)
        self._selector.unregister(visit.sock)
        visit.sock.close()
