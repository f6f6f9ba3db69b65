"""Segments that nobody writes any more: their index is completed, and the old ones go."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from fastsmtp.ledger import hold
from fastsmtp.ledger.format import INDEX, SEGMENT, LedgerError, Place, segments
from fastsmtp.ledger.index import read_runs
from fastsmtp.ledger.indexer import Indexer
from fastsmtp.ledger.search import SLACK
from fastsmtp.ledger.settings import LedgerSettings

PARTS = 64
"""A segment is this part of `max_size`, an eighth of `keep` long at most: what goes at once is little."""
_LEAST, _MOST = 1 << 20, 256 << 20
_TIMES = 8


def full(size: int, begun: float, settings: LedgerSettings, now: float) -> bool:
    """Whether a segment of so many octets, begun then, grows no more. One of the future does not: its events would
    be out of order, and the file's time of change, by which it is kept, that of a clock that was wrong."""
    longest = min(max(settings.max_size // PARTS, _LEAST), _MOST)
    return size >= longest or not -SLACK <= now - begun < settings.keep / _TIMES


def free(directory: Path, settings: LedgerSettings, now: float) -> hold.Held | None:
    """The newest segment that nobody writes and that may still grow, now ours; None when there is none. Raises
    OSError."""
    for place in reversed(segments(directory)):
        if finished(place):
            continue
        held = _take(place)
        if held is not None:
            if not full(held.size, held.begun, settings, now):
                return held
            held.close()
    return None


def complete(directory: Path, settings: LedgerSettings, now: float) -> None:
    """Bring the indexes of segments up to date whose process is gone. Raises OSError."""
    for place in segments(directory):
        if finished(place):
            continue
        held = _take(place)
        if held is None:
            continue
        indexer = Indexer(held)
        try:
            if full(held.size, held.begun, settings, now):
                indexer.finish()
            else:
                indexer.catch_up()
        finally:
            indexer.close()
            held.close()


def finished(place: Place) -> bool:
    """Whether the index is that of a segment that grows no more."""
    try:
        fd = os.open(place.index_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        runs = read_runs(fd)
    except OSError:
        return False
    finally:
        os.close(fd)
    return bool(runs) and runs[-1].last and runs[-1].end == place.size


def remove_old(directory: Path, settings: LedgerSettings, now: float, room: int = 0) -> int:
    """Remove segments that are older than `keep`, or too much, oldest first, and more while less than ``room`` octets
    are free on their disk; returns how many it were for this last reason. What is written stays. Raises OSError."""
    places = segments(directory)
    sizes = {place: place.size + _size(place.index_path) for place in places}
    total, for_room = sum(sizes.values()), 0
    for place in sorted(places, key=lambda place: place.changed):
        due = now - place.changed >= settings.keep or total > settings.max_size
        if not due and (not room or _free(directory) >= room):
            break
        if _remove(place):
            for_room += not due
            total -= sizes[place]
    for path in directory.iterdir():
        # An index, or one that a process did not live to write, whose segment is gone.
        name, found, _ = path.name.partition(INDEX)
        if found and not (directory / f"{name}{SEGMENT}").exists():
            path.unlink(missing_ok=True)
    return for_room


def _take(place: Place) -> hold.Held | None:
    """The segment, now ours; None when it is another's, gone, or none that this program knows."""
    try:
        return hold.take(place)
    except (FileNotFoundError, LedgerError):
        return None


def _remove(place: Place) -> bool:
    """Remove a segment unless it is written."""
    with suppress(FileNotFoundError):
        fd = os.open(place.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            place.path.unlink()
        except BlockingIOError:
            return False
        finally:
            os.close(fd)
        place.index_path.unlink(missing_ok=True)
        return True
    return False


def _free(directory: Path) -> int:
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
