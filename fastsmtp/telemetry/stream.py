"""The log as lines on a file descriptor: standard error, or a file."""

import os
import stat
from collections.abc import Sequence
from typing import Protocol

from fastsmtp.telemetry.aside import FileOutlet
from fastsmtp.telemetry.events import Event, Lost, encode
from fastsmtp.telemetry.outlet import NOTHING, Missing, Outlet

KEEP_BYTES = 1 << 20
"""What is kept at most for a reader that is slower than the log."""


class Writer(Protocol):
    """Where the log goes. Never raises, never waits but in `wait`; used by one thread at a time."""

    json: bool
    """Whether it reads the events' JSON."""

    def write(self, batch: Sequence[Event], lines: bytes, lost: Lost | None) -> Missing:
        """Write ``batch``, whose JSON is ``lines`` when `json` says so, then ``lost``; returns what is lost by now:
        of these, and of those that waited."""

    @property
    def waiting(self) -> bool:
        """Whether something is kept for a slow reader."""

    def wait(self, seconds: float) -> None:
        """Until there may be room, for so many seconds at most."""

    def reopened(self, file: int) -> None:
        """The log's file was opened anew: write to ``file`` from now on, which is closed."""

    def go_aside(self) -> None:
        """From now on, until `come_back`, what may wait for a disk is done by a thread."""

    def come_back(self, seconds: float) -> None:
        """No more, when what waits is written, or after so many seconds."""


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
        self._aside: FileOutlet | None = None
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

    def go_aside(self) -> None:
        """See `Writer`."""
        if stat.S_ISREG(os.fstat(self._fd).st_mode):
            self._aside = FileOutlet(self._fd)

    def come_back(self, seconds: float) -> None:
        """See `Writer`."""
        if self._aside is not None:
            self._aside.close(seconds)
            self._aside = None

    def write(self, batch: Sequence[Event], lines: bytes, lost: Lost | None) -> Missing:
        """See `Writer`."""
        data = self._rest + self._form(batch, lines)
        told = 0
        if lost is not None:
            data += self._form([lost], encode([lost]) if self.json else b"")
            told = lost.count
        if not data:
            return NOTHING
        missing = NOTHING if self._aside is None else self._aside.lost()
        try:
            taken = self._outlet.write(data) if self._aside is None else self._aside.write(data, told)
        except OSError:
            self._rest = b""
            return Missing(data.count(b"\n") - (told > 0), told)  # less the line that says so
        rest = data[taken:]
        if len(rest) <= KEEP_BYTES:
            self._rest = rest
            return missing
        # Cut behind a line's end: the line that is half out is finished, or its rest would spoil the next.
        keep = rest.rindex(b"\n", 0, KEEP_BYTES) + 1
        self._rest = rest[:keep]
        events = rest.count(b"\n", keep) - (told > 0)
        return Missing(missing.events + events, missing.untold + told)
