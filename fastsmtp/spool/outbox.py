"""What delivery sees of the spool: what was stored, in order, and the two commits that settle it.

Mail just stored is handed over from memory without decoding anything; it is bounded, as intake waits for
delivery beyond `MOST_WAITING` messages or `OLDEST` seconds. Everything else (what stood here at the start, what
is kept for another try) is found by one mechanism: a scan in the order of keys. A key of 8 bytes is a pack's,
any other a single's, which is its queue id.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import msgspec

from fastsmtp.clock import Clock
from fastsmtp.spool.base import SpoolError, SpoolFailed
from fastsmtp.spool.changes import KEY_BYTES, Changes, Job
from fastsmtp.spool.corrupt import set_aside
from fastsmtp.spool.insert import envelope_size
from fastsmtp.spool.record import Damaged, Intent, Letter, read_pack, read_single, record_of, single
from fastsmtp.spool.tables import INTENT, MAIL, PACK, Tables
from fastsmtp.telemetry.maillog import MailLog

MOST_WAITING = 20_000
OLDEST = 5.0
_LAST_DEATH = 3
_PATIENCE = 3.0
_FREED_PER_BYTE = 8  # the list of freed pages is a value too, and wants pages in a row
_OVERHEAD = 4096  # of a record kept as a single: head, and the rest of its last page


class Unit:
    """A pack or a single: ``key``, its ``letters``, and ``at``, the monotonic time it was stored (0 when a scan
    found it)."""

    __slots__ = ("at", "key", "letters")

    def __init__(self, key: bytes, letters: list[Letter], at: float = 0.0) -> None:
        self.key = key
        self.letters = letters
        self.at = at


Survivors = dict[int, list[int]]
"""By letter of a unit: the recipients still to be served."""


class _Parts:
    """What the commits of one settle share: ``broken``, one of them failed."""

    __slots__ = ("broken", "failed", "intent")

    def __init__(self, intent: bytes | None, failed: Callable[[list[bytes]], object] | None) -> None:
        self.intent = intent
        self.failed = failed
        self.broken = False


class Scan:
    """A walk over all packs below ``end`` and then all singles."""

    __slots__ = ("done", "end", "position", "singles")

    def __init__(self, end: bytes) -> None:
        self.end = end
        self.position = b""
        self.singles = False
        self.done = False

    def go_on(self, position: bytes | None) -> None:
        """At that key; None: the table is through."""
        if position is not None:
            self.position = position
        elif self.singles:
            self.done = True
        else:
            self.singles = True
            self.position = b""


class Outbox:
    """Used by one delivery thread; `note` and `held_back` by the writer."""

    def __init__(
        self,
        path: Path,
        tables: Tables,
        *,
        job: Callable[[Job], None],
        wake_writer: Callable[[], None],
        remove_body: Callable[[str], None],
        most_bytes: int,
        log: MailLog,
        clock: Clock,
    ) -> None:
        self._most_bytes = most_bytes
        self.bodies = path / "body"
        self._path = path
        self._tables = tables
        self._job = job
        self._wake_writer = wake_writer
        self._remove_body = remove_body
        self._log = log
        self._clock = clock
        self._fresh: deque[Unit] = deque()
        self._noted = 0
        self._waiting = 0
        self._taken = 0
        self._in_hand_at = 0.0
        self._attached = False
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._sleeping = False
        self._intents = 0
        self._stopping = False
        self._lock = threading.Lock()

    # --- the writer's side ----------------------------------------------------------------------
    def note(self, key: bytes, letters: list[Letter]) -> None:
        """A pack was committed."""
        if self._attached:
            with self._lock:
                self._waiting += len(letters)
            self._fresh.append(Unit(key, letters, self._clock.monotonic()))
        self._noted = int.from_bytes(key, "big") + 1
        if self._sleeping:
            self.wake()

    def held_back(self) -> bool:
        """Whether new mail should wait, as delivery lags."""
        waiting, age = self.backlog()
        return waiting >= MOST_WAITING or age > OLDEST

    # --- the delivery thread's side -------------------------------------------------------------
    def attach(self, next_key: int) -> None:
        """From now on stored mail is handed over by `take`; what stood here before, by a scan. Called on the
        writer's thread."""
        self._noted = next_key
        self._attached = True

    def detach(self) -> None:
        """Delivery ends: nothing waits for it any more."""
        self._attached = False
        with self._lock:
            self._fresh.clear()
            self._waiting = 0
        self._wake_writer()

    def stopping(self) -> None:
        """Delivery is to end: nobody waits for storage that does not answer any more."""
        self._stopping = True
        self.wake()

    def wake(self) -> None:
        """Let `wait` return."""
        self._sleeping = False
        self._bell.put(None)

    def wait(self, timeout: float | None) -> None:
        """Until there is fresh mail, `wake` is called, or ``timeout`` seconds have passed."""
        self._sleeping = True
        if not self._fresh:
            try:
                self._bell.get(timeout=timeout)
            except Empty:
                pass
        self._sleeping = False

    def rest(self, timeout: float) -> bool:
        """For ``timeout`` seconds, or until `wake` is called; fresh mail does not disturb. Whether the time is up:
        a call of `wake` may be an old one that nobody needed."""
        try:
            self._bell.get(timeout=timeout)
        except Empty:
            return True
        return False

    def take(self, limit: int) -> list[Unit]:
        """The oldest fresh packs, about ``limit`` messages of them."""
        units: list[Unit] = []
        fresh = self._fresh
        count = 0
        while fresh and count < limit:
            unit = fresh.popleft()
            count += len(unit.letters)
            units.append(unit)
        if units:
            self._in_hand_at = units[0].at
            self._taken = count
        return units

    def finished(self) -> None:
        """What `take` gave stands in mailboxes, or is kept for another try."""
        with self._lock:
            self._waiting = max(0, self._waiting - self._taken)
        self._taken = 0
        self._in_hand_at = 0.0
        self._wake_writer()

    def backlog(self) -> tuple[int, float]:
        """Fresh messages not yet delivered, and the age of the oldest in seconds."""
        at = self._in_hand_at
        if not at:
            try:
                at = self._fresh[0].at
            except IndexError:
                return 0, 0.0
        return self._waiting, self._clock.monotonic() - at

    def reading(self, key: bytes) -> AbstractContextManager[Any]:
        """The value of a unit, as memory of a mapped file, for a short time; None when it is gone."""
        return self._tables.reading(_table(key), key)

    def load(self, key: bytes) -> Unit | None:
        """A unit by its key, decoded; None when it is gone."""
        with self.reading(key) as value:
            return None if value is None else self._unit(key, value)

    def scan(self) -> Scan:
        """Begin a scan. What is settled but not committed yet is waited for, and fresh mail left out."""
        self.change(lambda changes: None)
        end = self._noted
        try:
            end = min(end, int.from_bytes(self._fresh[0].key, "big"))
        except IndexError:
            pass
        return Scan(end.to_bytes(KEY_BYTES, "big"))

    def next(self, scan: Scan, limit: int) -> list[Unit]:
        """Further units of ``scan``, about ``limit`` messages; none when it is at its end."""
        units: list[Unit] = []
        count = 0
        while not scan.done and count < limit:
            table, end = (MAIL, None) if scan.singles else (PACK, scan.end)
            with self._tables.page(table, scan.position, end, limit) as (found, following):
                for key, value in found:
                    if count >= limit:
                        following = key
                        break
                    unit = self._unit(key, value)
                    count += len(unit.letters) or 1
                    units.append(unit)
            scan.go_on(following)
        return units

    def intents(self) -> list[tuple[bytes, Intent]]:
        """The intents an earlier run left, oldest first."""
        decode = msgspec.msgpack.Decoder(Intent).decode
        with self._tables.page(INTENT) as (values, _):
            found = [(key, decode(value)) for key, value in values]
        self._intents = max([self._intents, *(int.from_bytes(key, "big") for key, _ in found)])
        return found

    def intend(self, intent: Intent) -> bytes:
        """Commit an intent; its key. Raises `SpoolError` when it could not be."""
        self._intents += 1
        key = self._intents.to_bytes(KEY_BYTES, "big")
        value = msgspec.msgpack.encode(intent)
        self.change(lambda changes: changes.put(INTENT, key, value, new=True), size=len(value))
        return key

    def settle(
        self,
        intent: bytes | None,
        settled: list[tuple[Unit, Survivors]],
        failed: Callable[[list[bytes]], object] | None = None,
    ) -> None:
        """Remove the units and, last, the intent in later commits; what survives is kept as singles. What is put
        in one commit is bounded, as the pages a commit frees serve later ones only. ``failed`` is called on the
        writer's thread with the keys of units that could not be settled; they stay, and so does the intent."""
        parts = _Parts(intent, failed)
        part: list[tuple[Unit, Survivors]] = []
        size = 0
        for unit, survivors in settled:
            needs = _needs(unit, survivors)
            if part and size + needs > self._most_bytes:
                self._settle_part(parts, part, size, last=False)
                part, size = [], 0
            part.append((unit, survivors))
            size += needs
        self._settle_part(parts, part, size, last=True)

    def _settle_part(
        self, parts: "_Parts", settled: list[tuple[Unit, Survivors]], size: int, *, last: bool
    ) -> None:
        gone: list[str] = []
        freed: list[str] = []
        for unit, survivors in settled:
            for index, letter in enumerate(unit.letters):
                if letter.filed and index not in survivors:
                    gone.append(letter.envelope.id)

        def apply(changes: Changes) -> None:
            if parts.broken and parts.intent is not None:
                # Without the intent, what is left of the units would be delivered again.
                raise SpoolFailed(f"{self._path}: the commit before failed")
            for unit, survivors in settled:
                self._settle(changes, unit, survivors)
            freed[:] = [queue_id for queue_id in gone if changes.release(queue_id)]
            if last and parts.intent is not None:
                changes.delete(INTENT, parts.intent)

        def done(error: SpoolError | None) -> None:
            if error is not None:
                if not parts.broken:
                    self._log.event(f"spool {error}: delivered mail could not be removed, it is tried again")
                parts.broken = True
                if parts.failed is not None:
                    parts.failed([unit.key for unit, _ in settled])
                return
            for queue_id in freed:
                self._remove_body(queue_id)

        self._job(Job(apply, done, urgent=False, size=size))

    def set_aside(self, unit: Unit, index: int, reason: str) -> None:
        """Keep a letter in ``corrupt/`` and report it; the caller settles it. Raises OSError."""
        letter = unit.letters[index]
        content: Any = self.bodies / letter.envelope.id
        if not letter.filed:
            with self.reading(unit.key) as value:
                content = bytes(value[letter.offset : letter.offset + letter.length])
        path = self._aside(letter.envelope.id, content, reason, letter)
        for recipient in letter.envelope.recipients:
            self._log.failed(
                letter.envelope.id, to=recipient.address, reason=f"{reason}; set aside as {path}"
            )

    def suspect(self, key: bytes) -> None:
        """A worker died with this unit in hand: a pack becomes singles, each with a death to its name; a single
        at its third is set aside. One that an intent names is left to that. Raises `SpoolError`, OSError."""
        if any(unit.key == key for _, intent in self.intents() for unit in intent.units):
            return
        unit = self.load(key)
        if unit is None:
            return
        kept: Survivors = {}
        for index, letter in enumerate(unit.letters):
            letter.deaths += 1
            if letter.deaths >= _LAST_DEATH:
                self.set_aside(unit, index, f"{_LAST_DEATH} workers died while delivering it")
            else:
                kept[index] = pending_of(letter)
        self._log.event(f"spool {self._path}: a worker died delivering {len(kept) or 'one'} message(s)")
        self.settle(None, [(unit, kept)])
        self.change(lambda changes: None)

    def change(self, apply: Callable[[Changes], object], size: int = 0) -> None:
        """Commit a change now and wait for it, and for all that was settled before. Raises `SpoolError`."""
        answer: SimpleQueue[SpoolError | None] = SimpleQueue()

        def applied(changes: Changes) -> None:
            apply(changes)

        self._job(Job(applied, answer.put, urgent=True, size=size))
        while True:
            try:
                error = answer.get(timeout=_PATIENCE)
            except Empty:
                if self._stopping:
                    raise SpoolFailed(f"{self._path}: stopped while storage does not answer") from None
                continue
            if error is not None:
                raise error
            return

    def _settle(self, changes: Changes, unit: Unit, survivors: Survivors) -> None:
        table = _table(unit.key)
        if survivors:
            with changes.reading(table, unit.key) as value:
                if value is None:
                    raise SpoolFailed(f"{self._path}: a message to be kept is gone")
                for index, pending in survivors.items():
                    letter = unit.letters[index]
                    kept = single(record_of(value, letter), pending, letter.deaths)
                    changes.put(MAIL, letter.envelope.id.encode(), kept, new=table is PACK)
        if not survivors or table is PACK:
            changes.delete(table, unit.key)

    def _unit(self, key: bytes, value: Any) -> Unit:
        letters: list[Letter] = []
        if _table(key) is PACK:
            for letter in read_pack(value):
                if isinstance(letter, Damaged):
                    self._damaged(f"{key.hex()}-{letter.start}", value, letter)
                else:
                    letters.append(letter)
        else:
            try:
                letters.append(read_single(value)[0])
            except Damaged as damage:
                self._damaged(key.decode("ascii", "replace"), value, damage)
        return Unit(key, letters)

    def _damaged(self, name: str, value: Any, damage: Damaged) -> None:
        path = self._aside(name, bytes(value[damage.start : damage.end]), str(damage), None)
        self._log.event(f"spool {self._path}: {damage}; its bytes are set aside as {path}")

    def _aside(self, name: str, content: Any, reason: str, letter: Letter | None) -> Path:
        return set_aside(
            self._path / "corrupt",
            os.path.basename(name),
            content,
            reason,
            self._clock.now(),
            letter.envelope if letter is not None else None,
        )


def pending_of(letter: Letter) -> list[int]:
    """The numbers of the recipients of ``letter`` still to be served."""
    return list(range(len(letter.envelope.recipients))) if letter.pending is None else letter.pending


def _table(key: bytes) -> bytes:
    return PACK if len(key) == KEY_BYTES else MAIL


def _needs(unit: Unit, survivors: Survivors) -> int:
    """About the bytes that settling the unit puts."""
    kept = freed = 0
    for index, letter in enumerate(unit.letters):
        size = envelope_size(letter.envelope) + (0 if letter.filed else letter.length)
        freed += size
        if index in survivors:
            kept += size + _OVERHEAD
    return kept + freed // _FREED_PER_BYTE
