"""The writer: the one thread that appends to the journal, and the moment after which 250 may be said.

Group commit without a timer: a frame takes whatever queued while the last one was written. New messages become
one pack, which is one value; intents and removals ride along. A removal never causes a commit of its own under
load, and waits `LAZY` seconds at most when idle. When storage fails, what was in the failed frame is answered;
nothing is appended until the keeper has moved all that was committed into the tree, and by that made the failed
frame void; then the writer goes on by itself.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from fastsmtp._core import fsio
from fastsmtp.clock import Clock
from fastsmtp.mail.envelope import Envelope
from fastsmtp.spool.base import SpoolError, SpoolFailed, SpoolFull
from fastsmtp.spool.changes import KEY_BYTES, Changes, Job
from fastsmtp.spool.faults import told
from fastsmtp.spool.insert import Insert, RelayRecord
from fastsmtp.spool.journal import Change, Frame, Journal, Region
from fastsmtp.spool.keeper import Keeper, disk_full
from fastsmtp.spool.record import Letter, record_parts
from fastsmtp.spool.settings import SpoolSettings
from fastsmtp.spool.tables import BODY, NUMBER, PACK, RELAY, Tables
from fastsmtp.spool.waiting import brief_size
from fastsmtp.store import StorageError
from fastsmtp.telemetry.meter import Meter
from fastsmtp.threads import make_way

LAZY = 0.2
_YIELDS = 2
"""How often the loop, if it has work, goes first before a commit takes what is there: no timer, and larger commits
exactly when the CPU is short."""
_PROBE = 1.0
"""Seconds until storage in trouble is tried again."""
_ROOM = 0.05
"""Seconds between two looks whether the journal has room again; a reader may be what it waits for."""
_SAME_TROUBLE = 60.0
"""Seconds within which trouble that comes back in the same words is still the same trouble."""
_SYNC_EVERY = 1.0
_APPLYING = 0.004
"""Seconds after which changes that have not begun wait for the next commit."""


def most_bytes(settings: SpoolSettings) -> int:
    """Bytes of values put by one commit: mail and changes share a region of the journal, and in the tree a pack
    may have to be rewritten within the reserve."""
    return min(settings.pack_bytes, settings.reserve // 4, settings.region_bytes // 4)


class Writer:
    """See the module. ``committed`` gets each pack's key and letters, ``relayed`` the envelope and the length of
    each relay record's content, on the writer's thread; ``held_back`` says whether new mail is to wait for
    delivery."""

    def __init__(
        self,
        journal: Journal,
        tables: Tables,
        keeper: Keeper,
        settings: SpoolSettings,
        *,
        path: Path,
        post: Callable[[Callable[[], None]], object],
        committed: Callable[[bytes, list[Letter]], None],
        relayed: Callable[[list[tuple[Envelope, int]]], None],
        held_back: Callable[[], bool],
        remove_body: Callable[[str], None],
        event: Callable[[str], None],
        meter: Meter,
        clock: Clock,
        fault: Callable[[str], None],
        sync_later: bool,
    ) -> None:
        self.trouble: SpoolError | None = None
        self.sequence = 1
        """The number of the next commit, and the key of its pack."""
        self._path = path
        self._journal = journal
        self._tables = tables
        self._keeper = keeper
        self._settings = settings
        self.most_bytes = most_bytes(settings)
        self._post = post
        self._committed = committed
        self._relayed = relayed
        self._held_back = held_back
        self._remove_body = remove_body
        self._event = event
        self._meter = meter
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
        self._region: Region | None = None
        self._torn = False
        self._void: list[str] = []
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._sleeping = False
        self._stopping = False
        self._probed_at = 0.0
        self._told = ""
        self._told_at = 0.0
        self._well_told = True
        self._thread = threading.Thread(target=self._run, name="spool-writer", daemon=True)

    def start(self, sequence: int) -> None:
        """The journal is open, and all its changes are in the tables; go on with this number."""
        self.sequence = sequence
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
                self._journal.sync()
            except OSError as problem:
                self._event(f"spool {self._path}: {problem}")

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
        error = SpoolFailed(f"{self._path}: the writer stumbled: {told(problem)}")
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
        if self._torn and not self._mend():
            self._refuse(inserts, self.trouble or SpoolFailed(f"{self._path}: storage failed"))
            self._again(jobs, alone=True)
            return
        try:
            parts, letters, relays = self._pack(inserts)
        except Exception as problem:  # one message's own fault
            self._isolate(problem, inserts, jobs)
            return
        size = sum(map(len, parts))
        for relay in relays:
            size += sum(map(len, relay.parts))
        # In trouble room for more is asked for, so that it neither ends nor comes back with each small message.
        error = self._keeper.admit(max(size, self.most_bytes) if self.trouble is not None else size)
        if error is not None and inserts:
            self._enter(error)
            self._refuse(inserts, error)
            inserts = []
        if not inserts and not jobs:
            return
        number = self.sequence
        key = number.to_bytes(KEY_BYTES, "big")
        frame = Frame()
        try:
            if inserts:
                if parts:
                    frame.put(NUMBER[PACK], key, *parts, new=True)
                for relay in relays:
                    frame.put(NUMBER[RELAY], relay.key, *relay.parts, new=True)
                for insert in inserts:
                    if insert.filed is not None:
                        frame.put(NUMBER[BODY], insert.envelope.id.encode(), insert.body_count(), new=True)
            jobs = self._apply(Changes(frame, self._tables), jobs)
            self._fault("commit-begin")
        except StorageError as problem:
            self._broken(problem)
            self._refuse(inserts, self.trouble or SpoolFailed(f"{self._path}: {problem}"))
            self._again(jobs, alone=not inserts)
            return
        except Exception as problem:  # a job's own fault: it must not take the others with it
            self._isolate(problem, inserts, jobs)
            return
        if frame:
            try:
                error = self._wait_for_room(frame.size, mail=bool(inserts))
            except SpoolFull as problem:  # more than fits at all
                self._isolate(problem, inserts, jobs)
                return
            if error is not None:
                self._enter(error)
                self._refuse(inserts, error)
                self._again(jobs, alone=not inserts)
                return
            try:
                self._append(frame)
            except StorageError as problem:
                self._torn = True  # the frame may stand there, whole or in part
                self._void += [insert.envelope.id for insert in inserts if insert.filed is not None]
                self._broken(problem)
                self._answer(inserts, self.trouble)
                self._again(jobs, alone=not inserts)
                return
        if self._sync_later:
            self._unsynced_since = self._unsynced_since or self._clock.monotonic()
        if inserts:
            self._answer(inserts, None)
            self._meter.group.observe(len(inserts))
            if letters:
                self._committed(key, letters)
            if relays:
                self._relayed([(relay.envelope, relay.length) for relay in relays])
            if self.trouble is not None:
                self._well()
        for job in jobs:
            job.finish(None)

    def _apply(self, changes: Changes, jobs: list[Job]) -> list[Job]:
        """Put into ``changes`` what these want, as far as it takes no long time; those that were done, of which there
        is one at least. The others come with the next commit, and new mail in between."""
        until = self._clock.monotonic() + _APPLYING
        for count, job in enumerate(jobs, 1):
            job.apply(changes)
            if count < len(jobs) and self._clock.monotonic() > until:
                self._in_hand = (self._in_hand[0], jobs[:count])
                self._jobs.extendleft(reversed(jobs[count:]))
                self._urgent = True
                return jobs[:count]
        return jobs

    def _append(self, frame: Frame) -> None:
        """Make it durable, then let readers see it. Raises OSError."""
        torn, self._torn = self._torn, True  # until all of it is done, whatever is raised
        if frame and self._journal.turns(frame.size):
            self._write(Frame())
        region, start, changes = self._write(frame)
        self._fault("commit-end")
        self._tables.apply(region, start, changes)
        self._torn = torn
        if region is not self._region:
            self._region = region
            self._keeper.wake()

    def _write(self, frame: Frame) -> tuple[Region, int, list[Change]]:
        number = self.sequence
        self.sequence += 1
        data, changes = frame.seal(number, self._journal.mark)
        began = self._clock.monotonic()
        region, start, error = self._journal.append(data)
        self._meter.sync.observe(self._clock.monotonic() - began)
        if error:
            raise OSError(error, os.strerror(error))
        return region, start, changes

    def _wait_for_room(self, size: int, *, mail: bool) -> SpoolError | None:
        """Until the journal has room; why there is none while the tree takes nothing. What changes may use is
        kept free of mail. Raises `SpoolFull` when there can never be so much room."""
        while not self._journal.room(size, spare=1 if mail else 0):
            self._keeper.wait(_ROOM)
            if self._keeper.trouble is not None:
                return self._keeper.trouble
            if not self._journal.room(size, spare=1 if mail else 0) and self._journal.stuck():
                return SpoolFull(f"{self._path}/journal: it cannot grow, as the disk is full")
        return None

    def _mend(self) -> bool:
        """After an append that failed: move all that was committed into the tree, which makes void what failed,
        and go on in another part of the journal; whether that went well."""
        if not self._keeper.flush(self.sequence - 1):
            if self._keeper.trouble is not None:
                self._enter(self._keeper.trouble)
            return False
        try:
            if self._journal.in_place():
                self._journal.skip()
            else:
                self._journal.remake(self._journal.region_bytes)
        except (OSError, SpoolError) as problem:
            self._broken(problem)
            return False
        self._torn = False
        for queue_id in self._void:
            self._remove_body(queue_id)
        self._void.clear()
        return True

    def _pack(self, inserts: list[Insert]) -> tuple[list[Any], list[Letter], list[RelayRecord]]:
        """The parts of a pack for the recipients here, its letters, and the records for those elsewhere."""
        parts: list[Any] = []
        letters: list[Letter] = []
        relays: list[RelayRecord] = []
        at = 0
        for insert in inserts:
            if insert.relay is not None:
                self._journal.must_hold(brief_size(insert.relay))  # it may have to wait for all of them
                relays.append(RelayRecord(insert))
                if not insert.here:
                    continue
            if insert.filed is not None:
                record, letter = insert.filed_record()
                at += len(record)
                parts.append(record)
                letter.offset = at
                letters.append(letter)
                continue
            header, envelope = record_parts(insert.envelope, insert.prefix, insert.body)
            at += len(header) + len(envelope)
            parts += (header, envelope, insert.prefix, insert.body)
            letters.append(Letter(insert.envelope, at, insert.length))
            at += insert.length
        return parts, letters, relays

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
        if not self._well_told:
            self._well_told = True
            self._event(f"spool {self._path}: well again")

    def _again(self, jobs: list[Job], *, alone: bool) -> None:
        """Jobs whose transaction failed: first without the mail that made it fail, then later."""
        if not jobs:
            return
        if alone and self._stopping:
            for job in jobs:
                job.finish(SpoolFailed(f"{self._path}: stopped while storage failed"))
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
            self._bell.get(timeout=_PROBE)
        except Empty:
            pass

    def _broken(self, problem: BaseException) -> None:
        if disk_full(self._path):
            self._enter(SpoolFull(f"{self._path}: the disk is full ({problem})"))
        else:
            self._enter(SpoolFailed(f"{self._path}: {problem}"))

    def _isolate(self, problem: Exception, inserts: list[Insert], jobs: list[Job]) -> None:
        """One message or change made the transaction fail by a fault of its own: the others are done without it,
        changes in their order."""
        if len(inserts) + len(jobs) == 1:
            if isinstance(problem, SpoolError):
                error = problem
            else:
                error = SpoolFailed(f"{self._path}: {told(problem)}")
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

    def _after(self) -> None:
        """What is due between commits: a probe while in trouble, the late sync of ``relaxed``."""
        now = self._clock.monotonic()
        if self.trouble is not None and now - self._probed_at >= _PROBE:
            self._probed_at = now
            self._probe()
        if self._unsynced_since and now - self._unsynced_since >= _SYNC_EVERY:
            self._unsynced_since = now
            try:
                self._journal.sync()
            except OSError as problem:
                self._torn = True
                self._broken(problem)
            else:
                self._unsynced_since = 0.0

    def _probe(self) -> None:
        """See whether mail can be taken again, by a commit of nothing."""
        self._keeper.wait(_PROBE)
        if (self._torn and not self._mend()) or self._keeper.admit(self.most_bytes) is not None:
            return
        frame = Frame()
        try:
            if not self._journal.room(frame.size, spare=1):
                return
            self._append(frame)
        except StorageError as problem:
            self._torn = True
            self._broken(problem)
            return
        self._well()
