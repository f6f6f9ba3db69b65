"""Takes the events of this process in, on the loop's thread: one write(2) a batch, and no other call.

Which file they go to is the keeper's matter (keeper.py). What cannot be written is counted: mail does not wait for
the ledger.
"""

import os
import threading
from typing import NamedTuple

from fastsmtp.ledger.format import LARGEST
from fastsmtp.ledger.hold import Held


class Tally(NamedTuple):
    """What came of events since the last time: how many were written and lost, and why the last of these."""

    written: int
    lost: int
    reason: str


class LedgerWriter:
    """The `Sink` of a worker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: Held | None = None
        self._failed = False
        self._written = 0
        self._lost = 0
        self._reason = ""

    @property
    def held(self) -> Held | None:
        """Where events go to."""
        return self._held

    def append(self, lines: bytes, count: int) -> None:
        """See `Sink`."""
        with self._lock:
            held = self._held
            if held is None or self._failed:
                self._lost += count
                return
            if held.size + len(lines) > LARGEST:
                self._lose(count, "it has grown too fast")
                return
            try:
                done = os.write(held.fd, lines)
                if done == len(lines):
                    held.size += done
                    held.events += count
                    self._written += count
                    return
                self._lose_rest(held, lines, done, count)
            except OSError as error:
                self._lose(count, error.strerror)

    def intact(self) -> bool:
        """Whether the file that events go to is as it was written."""
        with self._lock:
            return self._held is None or self._held.intact()

    def use(self, held: Held | None) -> Held | None:
        """From now on events go to ``held``; returns where they went."""
        with self._lock:
            before, self._held = self._held, held
            self._failed = False
            return before

    def tally(self) -> Tally:
        """What came of events since the last call. What has failed is tried again from now on."""
        with self._lock:
            result = Tally(self._written, self._lost, self._reason)
            self._written = self._lost = 0
            self._failed = False
            return result

    def lose(self, count: int) -> None:
        """So many events that were written are gone."""
        with self._lock:
            self._lost += count

    def _lose(self, count: int, reason: str | None) -> None:
        self._lost += count
        self._reason = reason or "it cannot be written"
        self._failed = True

    def _lose_rest(self, held: Held, lines: bytes, done: int, count: int) -> None:
        """Keep the whole lines of what was written; a part of one would spoil the next."""
        whole = lines.rfind(b"\n", 0, done) + 1
        kept = lines.count(b"\n", 0, whole)
        os.ftruncate(held.fd, held.size + whole)
        held.size += whole
        held.events += kept
        self._written += kept
        self._lose(count - kept, "No space left on device")
