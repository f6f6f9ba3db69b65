"""The tables follow their files while the server runs.

Once a second the files are looked at, by their metadata alone. What has changed is read only when it was still for
one look: an editor that writes in place is not read half-way. What cannot be used is told once, and the tables stay
as they were.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from fastsmtp.config.errors import SettingsError
from fastsmtp.routing.router import Router
from fastsmtp.routing.srs import Srs
from fastsmtp.routing.tables import RoutingTables

_MOST_TOLD = 10

Signature = tuple[int, ...] | None


def signature(file: Path) -> Signature:
    """What changes when ``file`` does, None when it cannot be looked at."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev, status.st_size


class Source(Protocol):
    """Where tables come from."""

    @property
    def seen(self) -> Mapping[Path, Signature]:
        """The files that the last `load` has read, as each was right before; empty: nothing can change."""

    def load(self) -> tuple[RoutingTables, Srs | None]:
        """The tables as the files say now. Raises `SettingsError`."""


class Reloader:
    """Keeps ``router`` at what ``source``, which was loaded once, says; ``say`` gets a line for each change and for
    what is wrong."""

    def __init__(self, router: Router, source: Source, say: Callable[[str], None]) -> None:
        self._router = router
        self._source = source
        self._say = say
        self._last: Mapping[Path, Signature] = source.seen

    def tick(self) -> None:
        """Look; called about once a second."""
        known = self._source.seen
        now = {file: signature(file) for file in known}
        still = now == self._last
        self._last = now
        if now == known or not still:
            return
        try:
            self._router.replace(*self._source.load())
        except SettingsError as error:
            for problem in error.problems[:_MOST_TOLD]:
                self._say(f"routing stays as it was: {problem}")
        else:
            self._say("routing was read again")
