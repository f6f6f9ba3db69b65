"""The log as datagrams to systemd's journal, each event with its fields (systemd.io, "Native Journal Protocol").

Nothing of systemd is loaded: a record is its fields in one datagram, one that is too large for that a sealed file in
memory. A journal that reads slowly is not waited for; what it has no room for is kept, and dropped when that is much.
"""

import errno
import fcntl
import os
import select
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from fastsmtp.telemetry import events
from fastsmtp.telemetry.events import Event, Lost
from fastsmtp.telemetry.outlet import NOTHING, Missing

SOCKET = "/run/systemd/journal/socket"
KEEP_RECORDS = 4096
"""Records that are kept for a slow journal."""

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_LENGTH = struct.Struct("<Q")
_MAIL = b"SYSLOG_FACILITY=2\n"
_WARNING, _NOTICE, _INFO = b"PRIORITY=4\n", b"PRIORITY=5\n", b"PRIORITY=6\n"
_PRIORITY = {
    events.Lost: _WARNING,
    events.Failed: _WARNING,
    events.LoginFailed: _NOTICE,
    events.Bounced: _NOTICE,
    events.Expired: _NOTICE,
}

Words = Callable[[Event], Sequence[tuple[str, str]]]
"""An event as records for people: of each the program's name and the message."""


class JournalWriter:
    """A `Writer` to the socket at ``path``. ``words`` makes the MESSAGE."""

    json = False

    def __init__(self, words: Words, path: str = SOCKET) -> None:
        self._words = words
        self._path = path
        self._socket: socket.socket | None = None
        self._kept: deque[bytes] = deque()

    @property
    def waiting(self) -> bool:
        """See `Writer`."""
        return bool(self._kept)

    def wait(self, seconds: float) -> None:
        """See `Writer`."""
        if self._socket is not None:
            poll = select.poll()
            poll.register(self._socket, select.POLLOUT)
            poll.poll(seconds * 1000)

    def write(self, batch: Sequence[Event], lines: bytes, lost: Lost | None) -> Missing:
        """See `Writer`."""
        kept = self._kept
        for event in batch:
            kept += [record(event, program, message) for program, message in self._words(event)]
        told = 0
        if lost is not None:
            kept += [record(lost, program, message) for program, message in self._words(lost)]
            told = lost.count
        try:
            while kept:
                self._send(kept[0])
                kept.popleft()
            return NOTHING
        except BlockingIOError:
            dropped = max(len(kept) - KEEP_RECORDS, 0)
        except OSError:  # nobody is there
            self.close()
            dropped = len(kept)
        for _ in range(dropped):
            kept.pop()
        return Missing(dropped - 1, told) if dropped and told else Missing(dropped, 0)

    def close(self) -> None:
        """Let go of the socket; the next write opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def reopened(self, file: int) -> None:
        """See `Writer`: a journal is no file."""
        os.close(file)

    def go_aside(self) -> None:
        """See `Writer`: no disk is waited for."""

    def come_back(self, seconds: float) -> None:
        """See `Writer`."""

    def _send(self, datagram: bytes) -> None:
        try:
            self._write(datagram)
        except BlockingIOError:
            raise
        except OSError as error:
            if error.errno in (errno.EMSGSIZE, errno.ENOBUFS):
                self._write_file(datagram)
                return
            self.close()  # the journal was started anew: once more, with its new socket
            self._write(datagram)

    def _write(self, datagram: bytes) -> None:
        self._opened().send(datagram)

    def _write_file(self, datagram: bytes) -> None:
        file = os.memfd_create("fastsmtp-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with os.fdopen(os.dup(file), "wb") as out:
                out.write(datagram)
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
            socket.send_fds(self._opened(), [b""], [file])
        finally:
            os.close(file)

    def _opened(self) -> socket.socket:
        if self._socket is None:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            try:
                made.connect(self._path)
            except OSError:
                made.close()
                raise
            self._socket = made
        return self._socket


def record(event: Event, program: str, message: str) -> bytes:
    """One record, with all the event's fields as ``FASTSMTP_…``."""
    kind = type(event)
    parts = [
        _MAIL,
        _PRIORITY.get(kind, _INFO),
        _field("SYSLOG_IDENTIFIER", program),
        _field("MESSAGE", message),
    ]
    for name, value in msgspec.to_builtins(event).items():
        if name == "v" or name == "at" or name == "pid" or value is None:
            continue
        text = ",".join(value) if isinstance(value, list | tuple) else str(value)
        parts.append(_field(f"FASTSMTP_{name.upper()}", text))
    return b"".join(parts)


def _field(name: str, value: str) -> bytes:
    raw = value.encode("utf-8", "backslashreplace")
    if b"\n" in raw:
        return name.encode("ascii") + b"\n" + _LENGTH.pack(len(raw)) + raw + b"\n"
    return b"%s=%s\n" % (name.encode("ascii"), raw)
