"""The thread behind a worker's ledger: files for its events, their indexes, the end of the old ones.

It looks once a second. Whatever it finds wrong (a full disk, a directory that somebody has removed) it says once, and
tries again; mail goes on meanwhile, and what is lost is counted.
"""

import threading
from collections.abc import Callable
from pathlib import Path

from fastsmtp.clock import Clock
from fastsmtp.ledger import hold, retention
from fastsmtp.ledger.hold import Held
from fastsmtp.ledger.indexer import Indexer
from fastsmtp.ledger.search import SLACK
from fastsmtp.ledger.settings import LedgerSettings
from fastsmtp.ledger.writer import LedgerWriter
from fastsmtp.threads import make_way

LOOK = 1.0
"""Seconds between two looks."""
HOUSEKEEPING = 30
"""Looks between two at the segments of others."""
REMIND = 60.0
"""Seconds until it is said again how much is lost."""


class LedgerKeeper:
    """``event`` says something in the log, ``lost`` that so many events are lost: both are called in a thread of its
    own. ``room``: octets of the disk that are left to others."""

    def __init__(
        self,
        directory: Path,
        settings: LedgerSettings,
        writer: LedgerWriter,
        *,
        clock: Clock,
        event: Callable[[str], None],
        lost: Callable[[int], None],
        room: int = 0,
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._writer = writer
        self._clock = clock
        self._event = event
        self._tell_lost = lost
        self._room = room
        self._indexer: Indexer | None = None
        self._lost = 0
        self._told_at = 0.0
        self._troubled = False
        self._said: dict[str, str] = {}
        self._looks = 0
        self._looked_at = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    def start(self) -> None:
        """Find a file for events, and begin to look after it. Never raises: without a file events are lost."""
        self._try(self._open)
        self._writer.start()
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and the writer's. What is still written finds its file."""
        self._writer.stop()
        self._end.set()
        if self._thread.ident is not None:
            self._thread.join()

    def look(self) -> None:
        """What is done once a second."""
        self._count()
        self._try(self._look_at_ours)
        if self._looks % HOUSEKEEPING == 0:
            self._try(self._look_at_others)
        self._looks += 1

    def _run(self) -> None:
        make_way()
        while not self._end.wait(LOOK):
            self.look()
        self._count()

    def _look_at_ours(self) -> None:
        held, now = self._writer.held, self._clock.now()
        set_back = now < self._looked_at - SLACK
        self._looked_at = now
        if held is None:
            self._open()
            return
        if not self._writer.intact():
            self._event(
                f"ledger: {held.path} was removed or changed by somebody else: {held.events} events of this process "
                "may be lost; a new file is begun"
            )
            self._writer.lose(held.events)
            self._replace()
        elif set_back or retention.full(held.size, held.begun, self._settings, now):
            self._replace(finish=True)
        elif self._indexer is not None:
            self._indexer.catch_up()

    def _look_at_others(self) -> None:
        now = self._clock.now()
        retention.complete(self._directory, self._settings, now)
        gone = retention.remove_old(self._directory, self._settings, now, self._room)
        if gone:
            self._event(f"ledger: the {gone} oldest files were removed early: the disk is short of space")

    def _open(self) -> None:
        now = self._clock.now()
        self._use(retention.free(self._directory, self._settings, now) or hold.begin(self._directory, now))

    def _replace(self, *, finish: bool = False) -> None:
        """Write to a new segment from now on; with ``finish`` the one before gets its last index."""
        indexer = self._indexer
        before = self._use(hold.begin(self._directory, self._clock.now()))
        try:
            if finish and indexer is not None:
                indexer.finish()
        finally:
            if indexer is not None:
                indexer.close()
            if before is not None:
                before.close()

    def _use(self, held: Held) -> Held | None:
        before = self._writer.use(held)
        self._indexer = Indexer(held)
        return before

    def _count(self) -> None:
        """Tell what is lost: at the first, every minute, and when events are written again."""
        written, lost, reason = self._writer.tally()
        self._lost += lost
        if lost and reason and not self._troubled:
            self._troubled = True
            self._told_at = 0.0
            self._event(f"ledger: {self._directory} cannot be written: {reason}; mail goes on without it")
        elif self._troubled and written and not lost:
            self._troubled = False
            self._event(f"ledger: {self._directory} is written again")
            self._told_at = 0.0
        now = self._clock.monotonic()
        if self._lost and (not self._told_at or now - self._told_at >= REMIND):
            self._told_at = now
            count, self._lost = self._lost, 0
            self._tell_lost(count)

    def _try(self, work: Callable[[], None]) -> None:
        """Do ``work``; a failure is said once, until another comes or it succeeds."""
        try:
            work()
        except OSError as error:
            said = f"ledger: {error.filename or self._directory}: {error.strerror}"
            if said != self._said.get(work.__name__):
                self._said[work.__name__] = said
                self._event(f"{said}; it is tried again every second")
        else:
            self._said.pop(work.__name__, None)
