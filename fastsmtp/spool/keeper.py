"""The keeper: the one thread that writes the tree. It moves what the journal cannot keep any longer.

As the journal goes round, its oldest regions are emptied: what is still wanted of them is put into LMDB, in
transactions of bounded size, each synced before the journal forgets. Mail delivered soon is not wanted any more by
then. A move that fails changes nothing: the journal has it still, and it is tried again.
"""

import os
import threading
from collections import Counter
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

from fastsmtp.clock import Clock
from fastsmtp.spool.base import SpoolError, SpoolFailed, SpoolFull
from fastsmtp.spool.faults import told
from fastsmtp.spool.growth import Growth
from fastsmtp.spool.journal import Journal, Region
from fastsmtp.spool.order import PIECE
from fastsmtp.spool.tables import APPLIED, DATABASES, STATE, Batch, Tables
from fastsmtp.store import CORRUPTED, MapFull, StorageError, Store, StoreError
from fastsmtp.threads import let_in, make_way

_AHEAD = 3
"""Regions the writer can go on in, with which there is nothing to do."""
_LONG = 0.01
"""Seconds a transaction shall take: while the device writes its pages, the journal waits for the device too, and with
it new mail. How many changes that is differs with what they are: mail at the tree's end takes a tenth of removals
from all over it."""
_CHEAPEST, _DEAREST = _LONG / 8000, _LONG / 200
"""What a change of a table is thought to take, in seconds; at the start the latter. So a transaction has 8,000
changes at most: each may change a page, and these stand in memory meanwhile."""
_HASTE = 0.8
"""To how much of it that falls with one transaction, at most."""
_MOST_KEYS = 200_000
"""Keys whose last change stands in the journal alone: beyond them its oldest region is moved early, as they take
memory."""
_TABLE = itemgetter(0)
_PROBE_KEY = b"probe"
_PROBE = 1.0
_PROBE_DAMAGED = 5.0
"""Seconds until storage in trouble is tried again; damage inside the database seldom passes by itself."""


class Keeper:
    """``trouble`` is why the tree takes nothing now, or None."""

    def __init__(
        self,
        store: Store,
        tables: Tables,
        journal: Journal,
        growth: Growth,
        *,
        most_bytes: int,
        event: Callable[[str], None],
        clock: Clock,
        fault: Callable[[str], None],
    ) -> None:
        self.trouble: SpoolError | None = None
        self._store = store
        self._tables = tables
        self._journal = journal
        self._growth = growth
        self._most_bytes = most_bytes
        self._event = event
        self._clock = clock
        self._fault = fault
        self._costs = [_DEAREST] * len(DATABASES)
        self._high = 0
        self._changed = threading.Condition()
        self._woken = False
        self._flush_to: int | None = None
        self._flushed = False
        self._turns = 0
        self._stopping = False
        self._probe_every = _PROBE
        self._reopen_told = ""
        self._thread = threading.Thread(target=self._run, name="spool-keeper", daemon=True)

    def start(self) -> None:
        """Begin. Raises `StorageError`."""
        self._high = self._store.high_water()
        self._growth.start(self._high)
        self._thread.start()

    def admit(self, size: int) -> SpoolError | None:
        """Why no mail of so many bytes can be taken: all that the tree does not have yet must fit there."""
        if self.trouble is not None:
            return self.trouble
        if self._growth.fits(self._high, self._tables.bytes + size, self._used):
            return None
        return SpoolFull(
            f"{self._store.path}: no room but the reserve; free disk space, or raise spool.map_size when there is"
        )

    def _used(self) -> int:
        try:
            return self._store.used()
        except StorageError:
            return 1 << 62

    def stop(self, number: int) -> None:
        """Move everything, so that the tree alone holds all changes up to ``number``; then end. What cannot be
        moved stays in the journal."""
        self.flush(number)
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def wake(self) -> None:
        """Look again whether something is to be done; from any thread."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def wait(self, timeout: float) -> None:
        """Let the keeper have a turn, and wait for its end."""
        with self._changed:
            turns = self._turns
            self._woken = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._turns != turns, timeout)

    def flush(self, number: int) -> bool:
        """Move everything and note that the tree has all changes up to ``number``, while nothing is appended;
        whether it could be done. Another thread's, while the keeper runs; else done here."""
        if not self._thread.is_alive():
            return self._flush(number)
        with self._changed:
            self._flush_to = number
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._flush_to is None)
            return self._flushed

    def _run(self) -> None:
        make_way()
        while True:
            with self._changed:
                timeout = self._probe_every if self.trouble is not None else None
                self._changed.wait_for(
                    lambda: self._woken or self._stopping or self._flush_to is not None, timeout
                )
                if self._stopping:
                    return
                self._woken = False
                flush_to = self._flush_to
            flushed = False
            try:
                if flush_to is not None:
                    flushed = self._flush(flush_to)
                else:
                    self._turn()
            except Exception as problem:  # a fault of ours: it must not end the only thread that moves
                self._enter(SpoolFailed(f"{self._store.path}: the keeper stumbled: {told(problem)}"))
            with self._changed:
                if flush_to is not None:
                    self._flush_to = None
                    self._flushed = flushed
                self._turns += 1
                self._changed.notify_all()

    def _turn(self) -> None:
        if self._store.is_open:
            self._high = self._store.high_water()
            self._growth.grow(self._high)
        if self._journal.short():
            try:
                self._journal.extend()
            except OSError:
                pass  # no room for more: it goes round in what there is
        moved = False
        while (self._journal.ahead() < _AHEAD or self._tables.keys_in_mind() > _MOST_KEYS) and (
            used := self._journal.used()
        ):
            if not self._move(used[0]):
                return
            moved = True
        if self.trouble is not None and not moved and self._write([], None):
            self._well()

    def _flush(self, number: int) -> bool:
        for region in self._journal.regions:
            if region.live and not self._move(region):
                return False
        if not self._write([], number):
            return False
        self._well()
        return True

    def _move(self, region: Region) -> bool:
        """Empty a region; whether it could be done."""
        self._tables.arrange(region)
        while True:
            batch = self._tables.next_to_move(region, self._most_bytes, self._costs, _LONG)
            done = False
            try:
                done = not batch or self._write(batch, None)
            finally:
                if done:
                    self._tables.moved(region, batch)
                else:
                    self._tables.kept(region, batch)
            if not batch or not done:
                if done:
                    self._well()
                return done

    def _write(self, batch: Batch, applied: int | None) -> bool:
        store = self._store
        try:
            if not store.is_open:
                self._reopen()
            self._growth.settle()  # its zeros and the pages of a transaction must never meet
            begun = self._clock.monotonic()
            with store.write() as txn:
                for at in range(0, len(batch), PIECE):
                    self._put(txn, batch[at : at + PIECE])
                    let_in()
                if applied is not None:
                    txn.put(APPLIED, applied.to_bytes(8, "big"), db=store.db[STATE])
                elif not batch:
                    txn.put(_PROBE_KEY, os.urandom(8), db=store.db[STATE])
                self._fault("move-begin")
            self._fault("move-end")
        except MapFull:
            self._enter(SpoolFull(f"{store.path}: the map is full; raise spool.map_size"))
            return False
        except StorageError as problem:
            self._broken(problem)
            return False
        self._high = store.high_water()
        self._growth.grow(self._high)
        self._pace(batch, self._clock.monotonic() - begun)
        return True

    def _put(self, txn: Any, batch: Batch) -> None:
        databases = self._store.db
        for table, key, entry in batch:
            db = databases[DATABASES[table]]
            if entry.end < 0:
                txn.delete(key, db=db)
            else:
                txn.put(key, entry.region.view[entry.start : entry.end], db=db)

    def _pace(self, batch: Batch, seconds: float) -> None:
        """A transaction took so long: what its changes are thought to take from now on. Each table answers for its
        share of what was expected."""
        parts = {table: count * self._costs[table] for table, count in Counter(map(_TABLE, batch)).items()}
        expected = sum(parts.values())
        for table, part in parts.items():
            error = max(_HASTE, seconds / expected) - 1
            cost = self._costs[table] * (1 + error * part / expected)
            self._costs[table] = min(_DEAREST, max(_CHEAPEST, cost))

    def _broken(self, problem: BaseException) -> None:
        path = self._store.path
        if disk_full(path):
            self._enter(SpoolFull(f"{path}: the disk is full ({problem})"))
        else:
            self._enter(SpoolFailed(f"{path}: {problem}"))
        self._probe_every = _PROBE_DAMAGED if isinstance(problem, CORRUPTED) else _PROBE
        self._reopen()

    def _enter(self, error: SpoolError) -> None:
        self.trouble = error

    def _well(self) -> None:
        self.trouble = None
        self._probe_every = _PROBE

    def _reopen(self) -> None:
        try:
            self._growth.settle()
            self._store.reopen()
        except StoreError as error:
            if str(error) != self._reopen_told:
                self._event(f"spool {error}")
            self._reopen_told = str(error)


def disk_full(path: Path) -> bool:
    """Whether the file system of ``path`` has no room: LMDB calls that an I/O error."""
    try:
        state = os.statvfs(path)
    except OSError:
        return False
    return state.f_bavail * state.f_frsize < (1 << 20)
