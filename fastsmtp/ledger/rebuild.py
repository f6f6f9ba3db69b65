"""Making the indexes of a ledger again, from its segments alone."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fastsmtp.ledger import hold
from fastsmtp.ledger.format import LedgerError, Place, segments
from fastsmtp.ledger.indexer import write_whole


class Rebuilt(NamedTuple):
    """``written`` were made again; ``busy`` are those of a running server, which makes them itself when their index
    is removed; ``problems`` say what could not be done."""

    written: int
    busy: int
    problems: list[str]


def rebuild(directory: Path, seen: Callable[[int, int], None] = lambda done, total: None) -> Rebuilt:
    """Make every index again. ``seen`` is told how many octets of how many have been read. Raises OSError when the
    directory cannot be read."""
    places = segments(directory)
    written = busy = done = 0
    problems: list[str] = []
    for place in places:
        try:
            if _rebuilt(place):
                written += 1
            else:
                # Its writer sees within a second that it is gone, and makes another.
                place.index_path.unlink(missing_ok=True)
                busy += 1
        except LedgerError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{error.filename or place.path}: {error.strerror}")
        done += place.size
        seen(done, sum(one.size for one in places))
    return Rebuilt(written, busy, problems)


def _rebuilt(place: Place) -> bool:
    """Make the index of a segment again, unless somebody writes to it."""
    held = hold.take(place)
    if held is None:
        return False
    try:
        write_whole(held, place.index_path, [], 0, last=False)
    finally:
        held.close()
    return True
