"""Local delivery: one thread that takes what the spool has committed into mailboxes, exactly once.

For each batch: files are written into ``tmp/`` and synced; an intent is committed; they are moved into ``new/``;
the moves are made durable by the sync of the next batch (or, when idle, by one of their own); then the spool may
forget the mail. What a crash leaves after each step, and who picks it up: docs/spool.md, state S4.

The steps are named for the fault hook: ``written``, ``synced``, ``intended``, ``renamed``, ``durable``.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from fastsmtp.bounce.original import HEADERS_LIMIT, Original
from fastsmtp.clock import Clock
from fastsmtp.mail.dsn_params import Notify, notify
from fastsmtp.mail.envelope import Envelope
from fastsmtp.queue.redo import Redo
from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.faults import no_fault, told
from fastsmtp.spool.outbox import MOST_WAITING, Outbox, Scan, Survivors, Unit
from fastsmtp.spool.record import Intent, IntentUnit, Letter
from fastsmtp.spool.suspects import SuspectBoard
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.threads import make_way
from fastsmtp.transport.maildir import RETRY, Batch, MaildirTransport

BATCH = 2000
"""Messages of one batch, about."""
_SCAN_SHARE = 200
_IDLE = 0.05
_STEP = 0.1
"""Seconds between two batches: under load a batch of hundreds costs hardly more than one of ten."""
_FLOOD = 100
"""Messages stored within one step from which on delivery makes way for intake ..."""
_GIVE_WAY = 3.0
"""... until the oldest has waited for so many seconds."""
_PAUSE = 1.0
_SYNC_ATTEMPTS = 3
_MOST_TOLD = 100


class DeliverySpool(Protocol):
    """What delivery needs of a spool."""

    @property
    def outbox(self) -> Outbox:
        """Where the mail is taken from."""

    def attach(self) -> None:
        """From now on what is stored is handed over."""


class _Moved:
    """A batch that stands in ``new/`` and waits to be durable there."""

    __slots__ = ("batch", "key", "units")

    def __init__(self, batch: Batch, units: list[Unit], key: bytes | None) -> None:
        self.batch = batch
        self.units = units
        self.key = key


class LocalRunner:
    """Delivers from ``spool``, which is open, into ``mailboxes``. ``suspects`` outlives the process. ``successes`` is
    told of recipients whose sender asked to hear of a delivery, on the delivery thread."""

    def __init__(
        self,
        spool: DeliverySpool,
        mailboxes: MaildirTransport,
        log: MailLog,
        clock: Clock,
        suspects: SuspectBoard,
        *,
        hold: bool = False,
        successes: Callable[[Envelope, list[int], Original], None] | None = None,
        fault: Callable[[str], None] = no_fault,
    ) -> None:
        self._successes = successes
        self._spool = spool
        self._outbox = spool.outbox
        self._mailboxes = mailboxes
        self._log = log
        self._clock = clock
        self._suspects = suspects
        self._hold = hold
        self._fault = fault
        self._redo = Redo(self._outbox, log, clock)
        self._bodies = -1
        self._moved: _Moved | None = None
        self._alone: list[Unit] = []
        self._scan: Scan | None = None
        self._scan_at: float | None = None
        self._begun_at = 0.0
        self._unsettled: deque[_Moved] = deque()
        self._told: set[str] = set()
        self._scan_went_well = True
        self._stopping = False
        self._crashed = False
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)

    def start(self, *, crashed: bool = False) -> None:
        """Begin. ``crashed``: the last process that delivered from this spool died of a signal that tells of a
        fault of its own, or ended with an error."""
        self._crashed = crashed
        self._bodies = os.open(self._outbox.bodies, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._thread.start()

    def stop(self) -> None:
        """End after the batch in hand; the rest stays in the spool."""
        self._stopping = True
        self._outbox.stopping()
        if self._thread.is_alive():
            self._thread.join()
        if self._bodies >= 0:
            os.close(self._bodies)
            self._bodies = -1

    def backlog(self) -> tuple[int, float]:
        """Fresh messages not yet delivered, and the age of the oldest in seconds."""
        return self._outbox.backlog()

    def _run(self) -> None:
        make_way()
        begun = False
        try:
            while not self._stopping:
                try:
                    if not begun:
                        begun = self._begin()
                    else:
                        self._turn()
                except (SpoolError, OSError) as error:
                    self._trouble(f"delivery: {error}", begun)
                except Exception as error:  # a fault of ours: the mail stays, and is tried again
                    self._trouble(f"delivery: {told(error)}", begun)
            self._settle_moved()
        except Exception as error:  # it stays an intent, which the next start brings to its end
            self._log.event(f"delivery: {told(error)}")
        finally:
            self._outbox.detach()
            self._mailboxes.close()

    def _begin(self) -> bool:
        self._redo.begin()
        suspect = self._suspects.get()
        if suspect is not None and self._crashed:
            self._outbox.suspect(suspect)
        self._crashed = False
        self._suspects.clear()
        if self._hold:
            while not self._stopping:
                self._outbox.wait(None)
            return True
        self._spool.attach()
        self._scan_at = self._clock.monotonic()
        return True

    def _trouble(self, text: str, begun: bool = True) -> None:
        """Leave what is in hand where it is: the next scan finds it again. Trouble in the same words is told
        once until a scan goes well, and tried each minute only; other mail goes on in between."""
        again = text in self._told
        if not again:
            if len(self._told) >= _MOST_TOLD:
                self._told.clear()
            self._told.add(text)
            self._log.event(text)
        self._scan_went_well = False
        self._suspects.clear()
        self._outbox.finished()
        self._alone.clear()
        self._again(RETRY if again else _PAUSE)
        self._outbox.rest(RETRY if again and not begun else _PAUSE)

    def _turn(self) -> None:
        if self._alone:
            self._deliver([self._alone.pop()])
            return
        self._keep_unsettled()
        self._begin_scan_when_due()
        if self._scan is None:
            self._make_way()
        found: list[Unit] = []
        if self._scan is not None:  # first, as it may fail, and fresh mail is not in hand then
            found = self._scanned(self._scan, max(_SCAN_SHARE, BATCH - self._outbox.backlog()[0]))
        units = self._outbox.take(BATCH) + found
        if units:
            self._begun_at = self._clock.monotonic()
            self._deliver(units)
        elif self._moved is not None:
            self._outbox.wait(_IDLE)
            if not self._outbox.backlog()[0]:
                self._settle_moved()
        elif self._scan is None and not self._alone:
            timeout = None if self._scan_at is None else max(0.0, self._scan_at - self._clock.monotonic())
            self._outbox.wait(timeout)

    def _make_way(self) -> None:
        """Rest while there is a better time for the next batch. Mail that comes alone finds delivery idle and is
        delivered at once; a flood is taken in first, then delivered in large batches."""
        waiting, age = self._outbox.backlog()
        rest = self._begun_at + _STEP - self._clock.monotonic()
        if waiting and rest > 0:
            self._outbox.rest(rest)
        while waiting and age < _GIVE_WAY and not self._stopping:
            before = waiting
            waiting, age = self._outbox.backlog()
            if waiting - before < _FLOOD or waiting >= MOST_WAITING // 2:
                break
            while not self._stopping and not self._outbox.rest(_STEP):
                pass

    def _begin_scan_when_due(self) -> None:
        """A scan begins with nothing in hand, so that it cannot find what is being delivered."""
        if self._scan is None and self._scan_at is not None and self._clock.monotonic() >= self._scan_at:
            self._scan_at = None
            self._settle_moved()
            self._redo.again()
            self._mailboxes.try_again()
            self._scan = self._outbox.scan()  # by now it is known what was not removed, which it would find
            self._keep_unsettled()
            self._scan_went_well = True

    def _scanned(self, scan: Scan, limit: int) -> list[Unit]:
        """Further units of the scan; those that a worker died of are delivered alone."""
        try:
            units = self._outbox.next(scan, limit)
        except Exception:
            self._scan = None
            raise
        if not units:
            self._scan = None
            if self._scan_went_well:
                self._told.clear()
        if self._redo.blocked:
            self._again(RETRY)
            units = [unit for unit in units if unit.key not in self._redo.blocked]
        empty = [unit for unit in units if not unit.letters]
        if empty:  # all of it was damaged, and is set aside
            self._outbox.settle(None, [(unit, {}) for unit in empty])
        self._alone = [unit for unit in units if any(letter.deaths for letter in unit.letters)]
        return [unit for unit in units if unit not in self._alone] if self._alone else units

    def _again(self, after: float) -> None:
        at = self._clock.monotonic() + after
        self._scan_at = at if self._scan_at is None else min(self._scan_at, at)

    def _deliver(self, units: list[Unit]) -> None:
        if self._moved is not None and not self._mailboxes.syncfs:
            self._settle_moved()
        batch = self._write(units)
        if batch is not None:
            for number, index, reason in batch.lost:
                self._outbox.set_aside(units[number], index, reason)
            key = None
            if batch.written:
                intent = self._intent(batch, units)
                key = self._outbox.intend(intent)
                try:
                    self._fault("intended")
                    batch.rename()
                    self._fault("renamed")
                except Exception:
                    self._redo.keep(key, intent)
                    raise
            if batch.unfinished:
                self._again(0.0 if batch.written else _PAUSE)
            elif batch.missing:
                self._again(RETRY)
            if key is not None or batch.lost:
                self._moved = _Moved(batch, units, key)
        self._outbox.finished()

    def _write(self, units: list[Unit]) -> Batch | None:
        """The batch written and synced, and with it the moves of the batch before; None when that cannot be."""
        outbox, suspects = self._outbox, self._suspects
        for attempt in range(_SYNC_ATTEMPTS):
            batch = self._mailboxes.batch(self._bodies)
            for number, unit in enumerate(units):
                with outbox.reading(unit.key) as value:
                    if value is not None:
                        suspects.put(unit.key)
                        batch.write(number, unit.letters, value)
            suspects.clear()
            self._fault("written")
            if not batch.written and self._moved is None:
                return batch
            if self._mailboxes.sync(batch, self._moved.batch if self._moved else None):
                self._fault("synced")
                if self._moved is not None:
                    self._settle(self._moved)
                return batch
            self._keep_moved()
            if self._stopping:
                break
            outbox.rest(_PAUSE * attempt)
        self._again(RETRY)
        return None

    def _intent(self, batch: Batch, units: list[Unit]) -> Intent:
        mailboxes = self._mailboxes
        return Intent(
            self._clock.now(),
            mailboxes.host,
            mailboxes.layout.pattern,
            mailboxes.lf,
            [
                IntentUnit(units[number].key, batch.missing.get(number, []))
                for number in sorted(batch.units())
            ],
            batch.places(),
        )

    def _settle_moved(self) -> None:
        """Make the last moves durable by a sync of their own, and settle them."""
        if self._moved is None:
            return
        if self._mailboxes.settle(self._moved.batch):
            self._settle(self._moved)
        else:
            self._keep_moved()

    def _keep_moved(self) -> None:
        """Moves that may not be durable stay an intent, which is finished like one of before a crash."""
        moved, self._moved = self._moved, None
        if moved is not None:
            self._keep(moved)

    def _keep(self, moved: _Moved) -> None:
        if moved.key is not None:
            self._redo.keep(moved.key, self._intent(moved.batch, moved.units))
        self._again(RETRY)

    def _not_removed(self, moved: _Moved) -> None:
        """The commit that should have removed it failed. Called on the writer's thread."""
        self._unsettled.append(moved)
        self._outbox.wake()

    def _keep_unsettled(self) -> None:
        while self._unsettled:
            self._keep(self._unsettled.popleft())

    def _settle(self, moved: _Moved) -> None:
        """Let the spool forget what was delivered. A unit nothing was written of stays as it is."""
        self._fault("durable")
        batch = moved.batch
        if self._successes is not None:
            self._tell_successes(moved, self._successes)
        settled = []
        for number in batch.touched():
            survivors: Survivors = {}
            for index, kept in batch.missing.get(number, ()):
                survivors.setdefault(index, []).append(kept)
            settled.append((moved.units[number], survivors))
        try:
            self._outbox.settle(moved.key, settled, lambda keys: self._not_removed(moved))
        except Exception:  # what was moved must not be found by a scan
            self._keep_moved()
            raise
        self._moved = None
        now, log = self._clock.now(), self._log
        for number, index, recipient, mailbox in batch.delivered():
            envelope = moved.units[number].letters[index].envelope
            log.delivered(
                envelope.id,
                to=envelope.recipients[recipient].address,
                mailbox=mailbox,
                delay=now - envelope.received_at,
            )

    def _tell_successes(
        self, moved: _Moved, successes: Callable[[Envelope, list[int], Original], None]
    ) -> None:
        """Before the mail is forgotten, as the notice shows its headers."""
        wished: dict[tuple[int, int], list[int]] = {}
        for number, index, recipient, _ in moved.batch.delivered():
            params = moved.units[number].letters[index].envelope.recipients[recipient].params
            if params is not None and Notify.SUCCESS in notify(params):
                wished.setdefault((number, index), []).append(recipient)
        for (number, index), recipients in wished.items():
            unit = moved.units[number]
            letter = unit.letters[index]
            successes(letter.envelope, recipients, Original(self._start(unit, letter), letter.length))

    def _start(self, unit: Unit, letter: Letter) -> bytes:
        most = min(letter.length, HEADERS_LIMIT)
        try:
            if letter.filed:
                fd = os.open(letter.envelope.id, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._bodies)
                try:
                    return os.pread(fd, most, 0)
                finally:
                    os.close(fd)
            with self._outbox.reading(unit.key) as value:
                return b"" if value is None else bytes(value[letter.offset : letter.offset + most])
        except OSError:
            return b""  # the notice goes without the headers
