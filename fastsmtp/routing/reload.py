"""The tables follow their files while the server runs.

Once a second the files are looked at, by their metadata alone. What has changed is read only when it was still for
one look: an editor that writes in place is not read half-way. A list may have a hundred thousand members, so a thread
reads, and mail goes by the old tables meanwhile. What cannot be used is told once, and the tables stay as they were.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from fastsmtp.config.errors import SettingsError
from fastsmtp.config.signature import Signature, signature
from fastsmtp.pool import ThreadPool
from fastsmtp.routing.router import Router
from fastsmtp.routing.srs import Srs
from fastsmtp.routing.tables import RoutingTables

_MOST_TOLD = 10

Loaded = tuple[RoutingTables, Srs | None]


class Source(Protocol):
    """Where tables come from."""

    @property
    def seen(self) -> Mapping[Path, Signature]:
        """The files that the last `load` has read, as each was right before; empty: nothing can change."""

    def load(self) -> Loaded:
        """The tables as the files say now; in any thread. Raises `SettingsError`."""


class Reloader:
    """Keeps ``router`` at what ``source``, which was loaded once, says; a thread of ``pool`` reads, which has nothing
    else to do. ``say`` gets a line for each change and for what is wrong. For the loop's thread."""

    def __init__(self, router: Router, source: Source, pool: ThreadPool, say: Callable[[str], None]) -> None:
        self._router = router
        self._source = source
        self._pool = pool
        self._say = say
        self._last: Mapping[Path, Signature] = source.seen
        self._reading = False

    def tick(self) -> None:
        """Look; called about once a second."""
        if self._reading:
            return
        known = self._source.seen
        now = {file: signature(file) for file in known}
        still = now == self._last
        self._last = now
        if now != known and still:
            self._reading = self._pool.submit(self._read, self._have_read, _defect)

    def stop(self) -> None:
        """What is being read is read to its end, for nobody. May block."""
        self._pool.stop()

    def _read(self) -> Loaded | SettingsError:
        try:
            return self._source.load()
        except SettingsError as error:
            return error

    def _have_read(self, found: Loaded | SettingsError) -> None:
        self._reading = False
        if isinstance(found, SettingsError):
            for problem in found.problems[:_MOST_TOLD]:
                self._say(f"routing stays as it was: {problem}")
        else:
            self._router.replace(*found)
            self._say("routing was read again")


def _defect(text: str) -> SettingsError:
    return SettingsError([text])
