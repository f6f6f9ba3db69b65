"""The log as lines on a file descriptor: standard error, or a file."""

import os
from collections.abc import Sequence
from typing import Protocol

from fastsmtp.telemetry.events import Event, Lost, encode
from fastsmtp.telemetry.outlet import Outlet

KEEP_BYTES = 1 << 20
"""What is kept at most for a reader that is slower than the log."""


class Writer(Protocol):
    """Where the log goes. Never raises, never waits but in `wait`; used by one thread at a time."""

    json: bool
    """Whether it reads the events' JSON."""

    def write(self, batch: Sequence[Event], lines: bytes, lost: Lost | None) -> int:
        """Write ``batch``, whose JSON is ``lines`` when `json` says so, then ``lost``; returns how many events are
        lost by now: of these, and of those that waited. ``lost`` counts for what it tells of."""

    @property
    def waiting(self) -> bool:
        """Whether something is kept for a slow reader."""

    def wait(self, seconds: float) -> None:
        """Until there may be room, for so many seconds at most."""

    def reopened(self, file: int) -> None:
        """The log's file was opened anew: write to ``file`` from now on, which is closed."""


class Form(Protocol):
    """How events are written."""

    def __call__(self, batch: Sequence[Event], lines: bytes) -> bytes:
        """The events as lines; ``lines`` is their JSON, or empty for who does not read it."""


def json_form(batch: Sequence[Event], lines: bytes) -> bytes:
    """Events as lines of JSON; see events.py."""
    return lines


class StreamWriter:
    """A `Writer` to the descriptor ``fd``, which stays the caller's."""

    def __init__(self, fd: int, form: Form) -> None:
        self.json = form is json_form
        self._form = form
        self._fd = fd
        self._outlet = Outlet(fd)
        self._rest = b""

    @property
    def waiting(self) -> bool:
        """See `Writer`."""
        return bool(self._rest)

    def wait(self, seconds: float) -> None:
        """See `Writer`."""
        self._outlet.wait(seconds)

    def reopened(self, file: int) -> None:
        """See `Writer`."""
        os.dup2(file, self._fd, inheritable=False)
        os.close(file)

    def write(self, batch: Sequence[Event], lines: bytes, lost: Lost | None) -> int:
        """See `Writer`."""
        data = self._rest + self._form(batch, lines)
        told = 0
        if lost is not None:
            data += self._form([lost], encode([lost]) if self.json else b"")
            told = lost.count
        if not data:
            return 0
        try:
            rest = data[self._outlet.write(data) :]
        except OSError:
            self._rest = b""
            return told + data.count(b"\n") - (told > 0)  # less the line that says so
        if len(rest) <= KEEP_BYTES:
            self._rest = rest
            return 0
        # Cut behind a line's end: the line that is half out is finished, or its rest would spoil the next.
        keep = rest.rindex(b"\n", 0, KEEP_BYTES) + 1
        self._rest = rest[:keep]
        return told + rest.count(b"\n", keep) - (told > 0)
