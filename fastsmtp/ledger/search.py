"""Finds events: by a queue id, an address or a Message-ID, by their time. Reads files, and needs no server.

A search says afterwards, in `Ledger.problems`, what it could not read.
"""

import heapq
import string
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from fastsmtp._core import ledger
from fastsmtp.ledger.format import HEADER, LedgerError, Place, segments
from fastsmtp.ledger.line import Line, read_line
from fastsmtp.ledger.segment import Segment

SLACK = 5.0
"""Seconds by which a line may be older than one that stands before it."""

_NEAR = 64 << 10
"""Octets that are rather read than searched for a time."""

Kind = Literal["id", "from", "to", "message_id"]
_HASHED: dict[Kind, str] = {"id": "i", "from": "f", "to": "t", "message_id": "m"}


class Span(NamedTuple):
    """The events wanted, in seconds since 1970 UTC: not before ``since``, before ``until``."""

    since: float = 0.0
    until: float = float("inf")

    def holds(self, at: float) -> bool:
        """Whether an event of that time is wanted."""
        return self.since <= at < self.until


EVER = Span()


class Ledger:
    """All segments in ``directory``, each as it is when it is first needed: for one question, or several about the
    same moment."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._problems: list[str] = []
        self._open: dict[Path, Segment] = {}

    def __del__(self) -> None:
        for one in self._open.values():
            one.close()

    @property
    def problems(self) -> list[str]:
        """What could not be read so far, one line each."""
        return self._problems

    def begin(self) -> float | None:
        """When the oldest event was, None when there is none: nothing older is known. In seconds since 1970 UTC.
        Raises OSError when the directory cannot be read."""
        return next((line.at for line in self.scan(EVER)), None)

    def find(self, kind: Kind, value: str, span: Span = EVER) -> Iterator[Line]:
        """The events that hold ``value``, the newest first. Raises OSError when the directory cannot be read."""
        number = ledger.key(_HASHED[kind], msgspec.json.encode(value)[1:-1])

        def look(one: Segment) -> Iterator[Line]:
            last = -1
            for at in one.find(number):
                if at == last:
                    continue  # a value that stands in a line twice
                last = at
                line = read_line(one.line(at))
                if line is None:
                    one.unreadable(at)
                elif holds(line, kind, value):
                    if span.holds(line.at):
                        yield line
                    elif line.at < span.since - SLACK:
                        return

        found = (self._read(place, look) for place in self._places(span))
        yield from heapq.merge(*found, key=lambda line: -line.at)

    def scan(self, span: Span, kinds: Sequence[str] = ()) -> Iterator[Line]:
        """All events of that time, of ``kinds`` where some are named: oldest first, each process's in the order in
        which it wrote them. Raises OSError when the directory cannot be read."""
        starts = tuple(b'{"kind":"%b"' % kind.encode() for kind in kinds) or b""

        def look(one: Segment) -> Iterator[Line]:
            for at, raw in one.lines(_start(one, span.since - SLACK)):
                if not raw.startswith(starts):
                    continue
                line = read_line(raw)
                if line is None:
                    one.unreadable(at)
                elif line.at >= span.until + SLACK:
                    return
                elif span.holds(line.at) and line.kind != HEADER:
                    yield line

        found = (self._read(place, look) for place in self._places(span))
        yield from heapq.merge(*found, key=lambda line: line.at)

    def _places(self, span: Span) -> list[Place]:
        return [place for place in segments(self._directory) if place.changed >= span.since - SLACK]

    def _read(self, place: Place, look: Callable[[Segment], Iterator[Line]]) -> Iterator[Line]:
        """What ``look`` finds in a segment, nothing more from where it cannot be read."""
        try:
            one = self._open.get(place.path)
            if one is None:
                one = self._open[place.path] = Segment(place, self._problems)
            yield from look(one)
        except FileNotFoundError:
            pass  # it has grown too old this very moment
        except OSError as error:
            self._tell(f"{place.path} cannot be read: {error.strerror}")
        except LedgerError as error:
            self._tell(str(error))

    def _tell(self, problem: str) -> None:
        if problem not in self._problems:
            self._problems.append(problem)


def holds(line: Line, kind: Kind, value: str) -> bool:
    """Whether an event holds ``value``. Capital letters of addresses count as small ones, as in the index."""
    if kind == "id":
        return value in (line.fields.get("id"), line.fields.get("about"))
    wanted = folded(value)
    return any(folded(one) == wanted for one in line.texts(kind))


def folded(text: str) -> str:
    """``text`` with the small letters of ASCII in place of its capital ones."""
    return text.translate(_SMALL)


_SMALL = {ord(letter): letter.lower() for letter in string.ascii_uppercase}


def _start(one: Segment, since: float) -> int:
    """Where the first line is that may not be older than ``since``, by halving."""
    low, high = 0, one.size
    while high - low > _NEAR:
        middle = one.begin_of_line((low + high) // 2)
        line = read_line(one.line(middle)) if middle < high else None
        if line is None or line.at >= since:
            high = (low + high) // 2
        else:
            low = middle
    return low
