"""The files of a ledger: what they are called, and how they begin.

A *segment*, ``TIME-PID.jsonl``, holds lines of JSON in the order in which one process wrote them. Its first line says
that it is a segment, and of which format; the others are events (telemetry/events.py). One process at a time writes
to a segment, and holds a `flock` on it meanwhile. ``TIME-PID.idx`` is its index (index.py), made from the segment
alone.
"""

import os
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

FORMAT = 1
"""Of the files; one with a higher number is not read."""

SEGMENT, INDEX = ".jsonl", ".idx"
DIRECTORY = "ledger"
"""Below data_dir."""
LONGEST = 2 << 20
"""Octets of a line, at most; what is longer is passed over."""
LARGEST = 1 << 31
"""Octets of a segment, at most: positions in it have 32 bits."""


class LedgerError(Exception):
    """A file of the ledger cannot be used; one line that names it."""


HEADER = "segment"
"""The kind of a segment's first line."""


class Header(msgspec.Struct, tag_field="kind", tag=HEADER):
    """The first line of a segment. ``at``: when it was begun, in seconds since 1970 UTC."""

    format: int
    at: float
    pid: int


class Place(NamedTuple):
    """A segment as the directory shows it. ``size`` in octets, ``changed`` in seconds since 1970 UTC."""

    path: Path
    size: int
    changed: float

    @property
    def name(self) -> str:
        """Without its suffix."""
        return self.path.stem

    @property
    def index_path(self) -> Path:
        """Where its index is."""
        return self.path.with_suffix(INDEX)


def segment_name(now: float) -> str:
    """What this process may call a segment that it begins ``now``; names are in the order of time."""
    whole = int(now * 1000)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(whole // 1000))
    return f"{stamp}.{whole % 1000:03d}-{os.getpid()}{SEGMENT}"


def header_line(now: float) -> bytes:
    """How a segment begins."""
    return msgspec.json.encode(Header(FORMAT, now, os.getpid())) + b"\n"


def read_header(fd: int, path: Path) -> Header:
    """The header of an open segment. Raises `LedgerError`, and OSError."""
    line, end, _ = os.pread(fd, 4096, 0).partition(b"\n")
    try:
        header = msgspec.json.decode(line if end else b"", type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise LedgerError(f"{path}: does not begin as a segment of a ledger") from None
    if header.format > FORMAT:
        raise LedgerError(
            f"{path}: is of format {header.format}, and this program reads {FORMAT}: use a newer one"
        )
    return header


def segments(directory: Path) -> list[Place]:
    """All segments, oldest first; none where there is no directory. Raises OSError."""
    found = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if not entry.name.endswith(SEGMENT):
                    continue
                try:
                    stat = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                found.append(Place(directory / entry.name, stat.st_size, stat.st_mtime))
    except FileNotFoundError:
        return []
    return sorted(found)
