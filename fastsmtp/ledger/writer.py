"""Takes the events of this process in, and writes them by a thread of its own.

A write(2) may wait for the disk: for one that hangs, for the file system's journal, for dirty pages to be written.
The loop must not wait with it, so `append` only hands over, up to `KEEP` octets; what comes together leaves together.
Which file events go to is the keeper's matter (keeper.py). What cannot be written is counted: mail does not wait for
the ledger.
"""

import os
import threading
from queue import Empty, SimpleQueue
from typing import NamedTuple

from fastsmtp.ledger.format import LARGEST
from fastsmtp.ledger.hold import Held
from fastsmtp.threads import make_way

KEEP = 8 << 20
"""Octets that wait for a slow disk, at most."""
_BUSY = 0.2
_SLOW = "the disk is too slow"


class Tally(NamedTuple):
    """What came of events since the last time: how many were written and lost, and why the last of these."""

    written: int
    lost: int
    reason: str


class LedgerWriter:
    """The `Sink` of a worker. Until `start`, and after `stop`, events are written by whoever brings them."""

    def __init__(self) -> None:
        self._writing = threading.Lock()
        self._held: Held | None = None
        self._failed = False
        self._counting = threading.Lock()
        self._written = 0
        self._lost = 0
        self._reason = ""
        self._waiting: SimpleQueue[tuple[bytes, int] | None] = SimpleQueue()
        self._given = 0  # octets; written by who brings them alone
        self._taken = 0  # octets; written by the thread alone
        self._thread: threading.Thread | None = None

    @property
    def held(self) -> Held | None:
        """Where events go to."""
        return self._held

    def start(self) -> None:
        """From now on a thread writes."""
        self._thread = threading.Thread(target=self._run, name="ledger-write", daemon=True)
        self._thread.start()

    def stop(self, patience: float = 5.0) -> None:
        """Write what waits, for so many seconds at most, and end the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(None)
            thread.join(patience)

    def append(self, lines: bytes, count: int) -> None:
        """See `Sink`."""
        if self._thread is None:
            self._write(lines, count)
        elif self._given - self._taken + len(lines) > KEEP:
            self._count(lost=count, reason=_SLOW)
        else:
            self._given += len(lines)
            self._waiting.put((lines, count))

    def intact(self) -> bool:
        """Whether the file that events go to is as it was written, as far as can be seen while one is written."""
        if not self._writing.acquire(timeout=_BUSY):
            return True
        try:
            return self._held is None or self._held.intact()
        finally:
            self._writing.release()

    def use(self, held: Held | None) -> Held | None:
        """From now on events go to ``held``; returns where they went."""
        with self._writing:
            before, self._held = self._held, held
            self._failed = False
            return before

    def tally(self) -> Tally:
        """What came of events since the last call. What has failed is tried again from now on."""
        self._failed = False
        with self._counting:
            result = Tally(self._written, self._lost, self._reason)
            self._written = self._lost = 0
            return result

    def lose(self, count: int) -> None:
        """So many events that were written are gone."""
        self._count(lost=count)

    def _run(self) -> None:
        make_way()
        while (first := self._waiting.get()) is not None:
            batches, last = [first], False
            try:
                while (more := self._waiting.get_nowait()) is not None:
                    batches.append(more)
                last = True
            except Empty:
                pass
            lines = b"".join(batch[0] for batch in batches)
            self._write(lines, sum(batch[1] for batch in batches))
            self._taken += len(lines)
            if last:
                return

    def _write(self, lines: bytes, count: int) -> None:
        with self._writing:
            held = self._held
            if held is None or self._failed:
                self._count(lost=count)
            elif held.size + len(lines) > LARGEST:
                self._fail(count, "it has grown too fast")
            else:
                self._write_to(held, lines, count)

    def _write_to(self, held: Held, lines: bytes, count: int) -> None:
        try:
            done = os.write(held.fd, lines)
            if done != len(lines):
                # A part of a line would spoil the next.
                whole = lines.rfind(b"\n", 0, done) + 1
                os.ftruncate(held.fd, held.size + whole)
                kept = lines.count(b"\n", 0, whole)
                self._fail(count - kept, "No space left on device")
                done, count = whole, kept
            held.size += done
            held.events += count
            self._count(written=count)
        except OSError as error:
            self._fail(count, error.strerror)

    def _fail(self, count: int, reason: str | None) -> None:
        self._failed = True
        self._count(lost=count, reason=reason or "it cannot be written")

    def _count(self, *, written: int = 0, lost: int = 0, reason: str = "") -> None:
        with self._counting:
            self._written += written
            self._lost += lost
            self._reason = reason or self._reason
