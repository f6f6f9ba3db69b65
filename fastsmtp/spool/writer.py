"""The writer: the one thread that writes the environment, and the moment after which 250 may be said.

Group commit without a timer: a transaction takes whatever queued while the last one ran. New messages become
one pack, which is one value; intents and removals ride along. A removal never causes a commit of its own under
load, and waits `LAZY` seconds at most when idle. When storage fails the environment is opened anew, what was
in the failed transaction is answered and undone, and the writer goes on by itself.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

import msgspec

from fastsmtp._core import fsio
from fastsmtp.clock import Clock
from fastsmtp.mail.envelope import Envelope
from fastsmtp.spool.base import Done, SpoolError, SpoolFailed, SpoolFull
from fastsmtp.spool.faults import told
from fastsmtp.spool.growth import Growth
from fastsmtp.spool.record import Intent, Letter, filed_record, record_parts
from fastsmtp.spool.settings import SpoolSettings
from fastsmtp.store import CORRUPTED, MapFull, StorageError, Store, StoreError
from fastsmtp.threads import make_way

LAZY = 0.2
_YIELDS = 2
"""How often the loop, if it has work, goes first before a commit takes what is there: no timer, and larger commits
exactly when the CPU is short."""
_PROBE = 1.0
_PROBE_DAMAGED = 5.0
"""Seconds until storage in trouble is tried again; damage inside the database seldom passes by itself."""
_SAME_TROUBLE = 60.0
"""Seconds within which trouble that comes back in the same words is still the same trouble."""
_PROBE_KEY = b"probe"
_SYNC_EVERY = 1.0
KEY_BYTES = 8
"""Of a pack's key, and an intent's; a single's is longer."""
_RECORD = 256
"""About the bytes of a record's header and of an envelope with one recipient."""
PACK, INTENT, MAIL, BODY = b"pack", b"intent", b"mail", b"body"
DATABASES = (PACK, INTENT, MAIL, BODY)
_decode_intent = msgspec.msgpack.Decoder(Intent).decode


def most_bytes(settings: SpoolSettings) -> int:
    """Bytes of values put by one transaction: a pack may have to be rewritten within the reserve."""
    return min(settings.pack_bytes, settings.reserve // 4)


def envelope_size(envelope: Envelope) -> int:
    """About the bytes of a record beside prefix and body, without encoding it. The usual message has one
    recipient and costs a constant."""
    recipients = envelope.recipients
    if len(recipients) == 1 and recipients[0].params is None:
        return _RECORD
    size = _RECORD
    for recipient in recipients:
        size += len(recipient.address) + len(recipient.mailbox) + 8
        if recipient.params is not None:
            size += sum(len(name) + len(value) + 4 for name, value in recipient.params.items())
    return size


class Insert:
    """One message to store; ``filed`` is its content's size when that stands in a file already. ``length`` is
    that of prefix and body, ``size`` about what the record takes."""

    __slots__ = ("answered", "body", "done", "envelope", "filed", "length", "prefix", "size")

    def __init__(
        self, envelope: Envelope, prefix: bytes, body: bytes | bytearray, filed: int | None, done: Done
    ) -> None:
        self.envelope = envelope
        self.prefix = prefix
        self.body = body
        self.filed = filed
        self.done = done
        self.answered = False
        self.length = len(prefix) + len(body)
        self.size = self.length + envelope_size(envelope)


class Job:
    """A change delivery wants: ``apply`` in a transaction (perhaps more than once), then ``done`` on the writer's
    thread. ``size`` is about the bytes it puts."""

    __slots__ = ("apply", "done", "finished", "size", "urgent")

    def __init__(
        self,
        apply: Callable[[Any], None],
        done: Callable[[SpoolError | None], None],
        *,
        urgent: bool,
        size: int = 0,
    ) -> None:
        self.apply = apply
        self.done = done
        self.finished = False
        self.urgent = urgent
        self.size = size

    def finish(self, error: SpoolError | None) -> None:
        """Tell that it is committed, or never will be."""
        self.finished = True
        self.done(error)


class Writer:
    """See the module. ``committed`` gets each pack's key and letters, on the writer's thread; ``held_back``
    says whether new mail is to wait for delivery."""

    def __init__(
        self,
        store: Store,
        growth: Growth,
        settings: SpoolSettings,
        *,
        post: Callable[[Callable[[], None]], object],
        committed: Callable[[bytes, list[Letter]], None],
        held_back: Callable[[], bool],
        remove_body: Callable[[str], None],
        event: Callable[[str], None],
        clock: Clock,
        fault: Callable[[str], None],
        sync_later: bool,
    ) -> None:
        self.trouble: SpoolError | None = None
        self.sequence = 0
        self._store = store
        self._growth = growth
        self._settings = settings
        self.most_bytes = most_bytes(settings)
        self._post = post
        self._committed = committed
        self._held_back = held_back
        self._remove_body = remove_body
        self._event = event
        self._clock = clock
        self._fault = fault
        self._sync_later = sync_later
        self._unsynced_since = 0.0
        self._inserts: deque[Insert] = deque()
        self._jobs: deque[Job] = deque()
        self._lazy_since = 0.0
        self._urgent = False
        self._one_by_one = 0
        self._in_hand: tuple[list[Insert], list[Job]] = ([], [])
        self._undo: list[tuple[bytes, list[bytes]]] = []
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._sleeping = False
        self._stopping = False
        self._probed_at = 0.0
        self._probe_every = _PROBE
        self._told = ""
        self._told_at = 0.0
        self._reopen_told = ""
        self._well_told = True
        self._thread = threading.Thread(target=self._run, name="spool-writer", daemon=True)

    def start(self) -> None:
        """The store is open; go on behind its last pack."""
        self.sequence = self._last_key() + 1
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, then end."""
        self._stopping = True
        self._bell.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def insert(self, insert: Insert) -> None:
        """Queue a message; from any thread."""
        self._inserts.append(insert)
        self.wake()

    def job(self, job: Job) -> None:
        """Queue a change; from any thread."""
        self._jobs.append(job)
        if job.urgent:
            self._urgent = True
        self.wake()

    def wake(self) -> None:
        """Look again whether something is to be done; from any thread."""
        if self._sleeping:
            self._sleeping = False
            self._bell.put(None)

    def _run(self) -> None:
        make_way()
        while True:
            try:
                if not self._wait():
                    break
                self._turn()
            except Exception as problem:  # a fault of ours: it must not end the only thread that stores mail
                if self._stumbled(problem):
                    break
        if self._unsynced_since:
            try:
                self._store.sync()
            except StorageError as problem:
                self._event(f"spool {self._store.path}: {problem}")

    def _turn(self) -> None:
        self._fault("writer-woken")
        for _ in range(_YIELDS):
            fsio.let_others_run()
        self._urgent = False
        jobs = self._take_jobs()
        self._in_hand = ([], jobs)
        inserts = self._take() if self._stopping or not self._held_back() else []
        self._in_hand = (inserts, jobs)
        if inserts or jobs:
            self._commit(inserts, jobs)
        self._in_hand = ([], [])
        self._after()

    def _stumbled(self, problem: Exception) -> bool:
        """Answer what was in hand, whose fate is unknown; when it is time to end, all that waits too, and true."""
        stopping = self._stopping
        error = SpoolFailed(f"{self._store.path}: the writer stumbled: {told(problem)}")
        inserts, jobs = self._in_hand
        self._in_hand = ([], [])
        if stopping:
            inserts = [*inserts, *self._inserts]
            jobs = [*jobs, *self._jobs]
            self._inserts.clear()
            self._jobs.clear()
        self._enter(error)
        self._answer([insert for insert in inserts if not insert.answered], error)
        for job in jobs:
            if not job.finished:
                job.finish(error)
        if not stopping:
            self._pause()
        return stopping

    def _wait(self) -> bool:
        """Until something is to be done; false when it is time to end."""
        while True:
            self._sleeping = True
            timeout: float | None = None
            if self._urgent or (self._inserts and (self._stopping or not self._held_back())):
                break
            if self._jobs:
                now = self._clock.monotonic()
                self._lazy_since = self._lazy_since or now
                timeout = LAZY - (now - self._lazy_since)
                if timeout <= 0 or self._stopping:
                    break
            elif self._stopping:
                return False
            elif self.trouble is not None or self._unsynced_since:
                timeout = _PROBE
            try:
                self._bell.get(timeout=timeout)
            except Empty:
                if not self._jobs:
                    self._sleeping = False
                    return True
        self._sleeping = False
        self._lazy_since = 0.0
        return True

    def _take_jobs(self) -> list[Job]:
        """What is put in one transaction is bounded: the pages it frees serve later ones only."""
        taken: list[Job] = []
        room = self.most_bytes
        if self._one_by_one and self._jobs:
            self._one_by_one -= 1
            self._urgent = bool(self._one_by_one)
            return [self._jobs.popleft()]
        self._one_by_one = 0
        while self._jobs:
            room -= self._jobs[0].size
            if room < 0 and taken:
                self._urgent = True
                break
            taken.append(self._jobs.popleft())
        return taken

    def _take(self) -> list[Insert]:
        taken: list[Insert] = []
        room = self.most_bytes
        waiting = self._inserts
        while waiting and len(taken) < self._settings.pack_messages:
            room -= waiting[0].size
            if room < 0 and taken:
                break
            taken.append(waiting.popleft())
        return taken

    def _commit(self, inserts: list[Insert], jobs: list[Job]) -> None:
        try:
            parts, letters = self._pack(inserts)
        except Exception as problem:  # one message's own fault
            self._isolate(problem, inserts, jobs)
            return
        size = sum(map(len, parts))
        error = self._admit(size, jobs)
        if error is not None and inserts:
            self._enter(error)
            self._refuse(inserts, error)
            inserts = []
        if not inserts and not jobs:
            return
        key = self.sequence.to_bytes(KEY_BYTES, "big")
        filed = [insert.envelope.id.encode() for insert in inserts if insert.filed is not None]
        try:
            with self._store.write() as txn:
                for old, bodies in self._undo:
                    self._remove(txn, old, bodies)
                if inserts:
                    if not txn.put(key, b"".join(parts), db=self._store.db[PACK], append=True):
                        raise SpoolFailed(f"the key {key.hex()} is in use")
                    for queue_id in filed:
                        txn.put(queue_id, b"", db=self._store.db[BODY])
                for job in jobs:
                    job.apply(txn)
                self._fault("commit-begin")
            self._fault("commit-end")
        except MapFull:
            if inserts:
                full = SpoolFull(f"{self._store.path}: the map is full; raise spool.map_size")
                self._enter(full)
                self._refuse(inserts, full)
            self._again(jobs, alone=not inserts)
            return
        except StorageError as problem:
            if inserts:
                self._undo.append((key, filed))
                self.sequence += 1
            self._broken(problem, inserts, jobs)
            return
        except Exception as problem:  # a job's own fault: it must not take the others with it
            self.sequence += 1
            self._isolate(problem, inserts, jobs)
            return
        if self._sync_later:
            self._unsynced_since = self._unsynced_since or self._clock.monotonic()
        self._undone()
        if inserts:
            self.sequence += 1
            self._answer(inserts, None)
            self._committed(key, letters)
            if self.trouble is not None:
                self._well()
        for job in jobs:
            job.finish(None)

    def _pack(self, inserts: list[Insert]) -> tuple[list[Any], list[Letter]]:
        parts: list[Any] = []
        letters: list[Letter] = []
        at = 0
        for insert in inserts:
            if insert.filed is not None:
                record = filed_record(insert.envelope, insert.filed)
                at += len(record)
                parts.append(record)
                letters.append(Letter(insert.envelope, at, insert.filed, True))
                continue
            header, envelope = record_parts(insert.envelope, insert.prefix, insert.body)
            at += len(header) + len(envelope)
            parts += (header, envelope, insert.prefix, insert.body)
            letters.append(Letter(insert.envelope, at, insert.length))
            at += insert.length
        return parts, letters

    def _admit(self, size: int, jobs: list[Job]) -> SpoolError | None:
        need = size + sum(job.size for job in jobs)
        try:
            if self._growth.admit(self._store.high_water(), need, self._store.used):
                return None
        except StorageError as problem:
            return SpoolFailed(f"{self._store.path}: {problem}")
        return SpoolFull(
            f"{self._store.path}: no room but the reserve; free disk space, or raise spool.map_size when there is"
        )

    def _answer(self, inserts: list[Insert], error: SpoolError | None) -> None:
        if not inserts:
            return
        for insert in inserts:
            insert.answered = True
        dones = [insert.done for insert in inserts]

        def call() -> None:
            for done in dones:
                done(error)

        self._post(call)

    def _refuse(self, inserts: list[Insert], error: SpoolError) -> None:
        """Answer with the error what is not stored for certain."""
        for insert in inserts:
            if insert.filed is not None:
                self._remove_body(insert.envelope.id)
        self._answer(inserts, error)

    def _enter(self, error: SpoolError) -> None:
        """Trouble begins or goes on: told once."""
        now = self._clock.monotonic()
        text = str(error)
        if self.trouble is None and (text != self._told or now - self._told_at > _SAME_TROUBLE):
            self._event(f"spool {text}")
            self._told = text
            self._well_told = False
        self._told_at = now
        self.trouble = error

    def _well(self) -> None:
        self.trouble = None
        self._probe_every = _PROBE
        if not self._well_told:
            self._well_told = True
            self._event(f"spool {self._store.path}: well again")

    def _again(self, jobs: list[Job], *, alone: bool) -> None:
        """Jobs whose transaction failed: first without the mail that made it fail, then later."""
        if not jobs:
            return
        if alone and self._stopping:
            for job in jobs:
                job.finish(SpoolFailed(f"{self._store.path}: stopped while storage failed"))
            return
        self._in_hand = (self._in_hand[0], [])
        self._jobs.extendleft(reversed(jobs))
        if alone:
            self._probed_at = self._clock.monotonic()
            self._pause()
        self._urgent = True

    def _pause(self) -> None:
        """Wait a while with mail refused; a stop cuts it short."""
        try:
            self._bell.get(timeout=self._probe_every)
        except Empty:
            pass

    def _broken(self, problem: BaseException, inserts: list[Insert], jobs: list[Job]) -> None:
        error: SpoolError
        if self._disk_full():
            error = SpoolFull(f"{self._store.path}: the disk is full ({problem})")
        else:
            error = SpoolFailed(f"{self._store.path}: {problem}")
        self._enter(error)
        self._probe_every = _PROBE_DAMAGED if isinstance(problem, CORRUPTED) else _PROBE
        self._answer(inserts, error)  # the records may stand there all the same, so their bodies stay
        self._reopen()
        self._again(jobs, alone=not inserts)

    def _reopen(self) -> None:
        try:
            self._growth.settle()
            self._store.reopen()
        except StoreError as error:
            if str(error) != self._reopen_told:
                self._event(f"spool {error}")
            self._reopen_told = str(error)

    def _isolate(self, problem: Exception, inserts: list[Insert], jobs: list[Job]) -> None:
        """One message or change made the transaction fail by a fault of its own: the others are done without it,
        changes in their order."""
        if len(inserts) + len(jobs) == 1:
            if isinstance(problem, SpoolError):
                error = problem
            else:
                error = SpoolFailed(f"{self._store.path}: {told(problem)}")
                self._event(f"spool {error}")
            self._refuse(inserts, error)
            for job in jobs:
                job.finish(error)
            return
        middle = len(inserts) if jobs else len(inserts) // 2
        for some in (inserts[:middle], inserts[middle:]):
            if some:
                self._commit(some, [])
        if len(jobs) == 1:
            self._commit([], jobs)
        elif jobs:
            self._in_hand = (self._in_hand[0], [])
            self._jobs.extendleft(reversed(jobs))
            self._one_by_one = len(jobs)
            self._urgent = True

    def _disk_full(self) -> bool:
        try:
            state = os.statvfs(self._store.path)
        except OSError:
            return False
        return state.f_bavail * state.f_frsize < (1 << 20)

    def _after(self) -> None:
        """What is due between transactions: a probe while in trouble, the late sync of ``relaxed``."""
        now = self._clock.monotonic()
        if self.trouble is not None and now - self._probed_at >= self._probe_every:
            self._probed_at = now
            self._probe()
        if self._unsynced_since and now - self._unsynced_since >= _SYNC_EVERY:
            self._unsynced_since = now
            try:
                self._store.sync()
            except StorageError as problem:
                self._broken(problem, [], [])
            else:
                self._unsynced_since = 0.0

    def _probe(self) -> None:
        if not self._store.is_open:
            self._reopen()
        if self._admit(self._settings.pack_bytes, []) is not None:
            return
        try:
            with self._store.write() as txn:
                for key, bodies in self._undo:
                    self._remove(txn, key, bodies)
                key = self.sequence.to_bytes(KEY_BYTES, "big")
                txn.put(key, b"", db=self._store.db[PACK], append=True)
                txn.delete(key, db=self._store.db[PACK])
                txn.put(_PROBE_KEY, b"", db=self._store.db[BODY])
                txn.delete(_PROBE_KEY, db=self._store.db[BODY])
        except StorageError as problem:
            self._broken(problem, [], [])
            return
        self._undone()
        self._well()

    def _remove(self, txn: Any, key: bytes, bodies: list[bytes]) -> None:
        txn.delete(key, db=self._store.db[PACK])
        for queue_id in bodies:
            txn.delete(queue_id, db=self._store.db[BODY])

    def _undone(self) -> None:
        """What failed to commit is gone for certain."""
        for _, bodies in self._undo:
            for queue_id in bodies:
                self._remove_body(queue_id.decode())
        self._undo.clear()

    def _last_key(self) -> int:
        """The last key in use: of a pack, or named by an intent, whose packs may be gone when it was settled in
        parts. A new pack under such a key would be taken for one that is delivered."""
        with self._store.read() as txn:
            last = 0
            cursor = txn.cursor(db=self._store.db[PACK])
            if cursor.last():
                last = int.from_bytes(cursor.key(), "big")
            for key, value in txn.cursor(db=self._store.db[INTENT]):
                try:
                    units = _decode_intent(value).units
                except msgspec.MsgspecError as error:
                    name = bytes(key).hex()
                    raise SpoolFailed(
                        f"{self._store.path}: the intent {name} cannot be read ({error}); set the spool aside"
                    ) from None
                keys = (unit.key for unit in units if len(unit.key) == KEY_BYTES)
                last = max([last, *(int.from_bytes(key, "big") for key in keys)])
        return last
