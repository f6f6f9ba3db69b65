"""Reading events as they come, from all processes, over the ends of files and of servers.

Polling, not watching: a look costs a listing of the directory, some 0.1 ms, and sees whatever happened to it.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from fastsmtp.ledger.format import HEADER, LONGEST, Place, segments
from fastsmtp.ledger.line import Line, read_line

PIECE = 1 << 20
"""Octets read at once, if nothing else is wished."""


class Follower:
    """Reads from ``position`` on: how far each segment was read, by its name; segments that it does not name are read
    from their begin. Without one: from now on."""

    def __init__(self, directory: Path, position: Mapping[str, int] | None = None) -> None:
        self._directory = directory
        self._position = dict(self._now() if position is None else position)
        self._sizes: dict[str, int] = {}
        self.vanished = 0
        """Segments that were removed before all that was known to be in them had been read."""

    @property
    def position(self) -> dict[str, int]:
        """How far has been read; to be kept by whoever goes on later. Names of segments that are gone are not in it
        after the next `read`."""
        return dict(self._position)

    def read(self, octets: int = PIECE) -> list[Line]:
        """What has come since the last time, in the order of time: about so many octets, a line of each segment at
        least; empty when nothing has. Lines that are no events are passed over. Raises OSError."""
        places = segments(self._directory)
        position = {place.name: self._position.get(place.name, 0) for place in places}
        self.vanished += sum(
            name not in position and size > self._position[name] for name, size in self._sizes.items()
        )
        self._sizes = {place.name: place.size for place in places}
        grown = [place for place in places if place.size > position[place.name]]
        lines: list[Line] = []
        for place in grown:
            position[place.name] += _read(place, position[place.name], octets // len(grown), lines)
        self._position = position
        return sorted(lines, key=lambda line: line.at)

    def _now(self) -> dict[str, int]:
        return {place.name: place.size for place in segments(self._directory)}


def _read(place: Place, start: int, octets: int, lines: list[Line]) -> int:
    """Add the events of about so many octets of a segment to ``lines``; returns how many octets were read."""
    try:
        fd = os.open(place.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return 0
    try:
        data = os.pread(fd, octets, start)
        if b"\n" not in data:
            data = os.pread(fd, LONGEST, start)
            data = data[: data.find(b"\n") + 1]
    finally:
        os.close(fd)
    data = data[: data.rfind(b"\n") + 1]
    for raw in data.split(b"\n"):
        line = read_line(raw)
        if line is not None and line.kind != HEADER:
            lines.append(line)
    return len(data)
