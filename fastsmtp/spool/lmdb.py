"""The spool of one worker slot in LMDB: see docs/spool.md.

``path`` holds ``journal``, ``data.mdb`` and ``lock.mdb`` (LMDB's), ``lock`` (ours), ``body/`` (large bodies) and
``corrupt/`` (what was set aside).
"""

import socket
from collections.abc import Callable
from pathlib import Path

from fastsmtp.clock import Clock
from fastsmtp.mail.envelope import Envelope
from fastsmtp.mail.ids import IdMaker
from fastsmtp.spool.base import BodyFile, Done, SpoolError, SpoolFailed, SpoolTaken
from fastsmtp.spool.bodies import BodyPool, FileBody
from fastsmtp.spool.changes import Job
from fastsmtp.spool.copying import Copies
from fastsmtp.spool.faults import no_fault
from fastsmtp.spool.growth import Growth
from fastsmtp.spool.insert import Insert
from fastsmtp.spool.journal import Journal
from fastsmtp.spool.keeper import Keeper
from fastsmtp.spool.load import SpoolLoad
from fastsmtp.spool.outbox import Outbox
from fastsmtp.spool.record import FORMAT, MIGRATIONS
from fastsmtp.spool.recover import keep_bodies, named_bodies, remove_orphans
from fastsmtp.spool.relay import RelayBox
from fastsmtp.spool.search import Search
from fastsmtp.spool.settings import JOURNAL_REGIONS, Durability, SpoolSettings
from fastsmtp.spool.tables import APPLIED, DATABASES, HELD, INTENT, MAIL, PACK, RELAY, STATE, WAIT, Tables
from fastsmtp.spool.writer import Writer, most_bytes
from fastsmtp.store import StorageError, Store, StoreError, StoreTaken
from fastsmtp.telemetry.maillog import MailLog

_WRITTEN_AT_START = 3
"""Regions of the journal: with fewer no mail can be taken while changes keep one for themselves."""


class LmdbSpool:
    """See `fastsmtp.spool.base.Spool` for intake's side; ``outbox`` is local delivery's, ``relay`` that of the
    queue for other hosts, ``search`` its operators'.

    Made after the fork. ``post`` calls a callable on the loop's thread, from any thread. ``fault`` is called
    with the name of each step on the way to the disk; tests make it fail or end the process.
    """

    def __init__(
        self,
        path: Path,
        *,
        slot: int,
        settings: SpoolSettings,
        durability: Durability,
        post: Callable[[Callable[[], None]], object],
        log: MailLog,
        clock: Clock,
        fault: Callable[[str], None] = no_fault,
    ) -> None:
        self._post = post
        self._log = log
        self._ids = IdMaker(slot)
        self._now = clock.now
        self._inline_limit = settings.inline_limit
        self._store = Store(
            path,
            DATABASES,
            format_number=FORMAT,
            map_size=settings.map_size,
            sync=durability != "none",
            created=self._created,
            migrations=MIGRATIONS,
        )
        self._bodies = BodyPool(path / "body", post, fault, log.event)
        self._growth = Growth(
            self._store.data_file,
            map_size=settings.map_size,
            ahead=settings.ahead,
            reserve=settings.reserve,
            run=self._bodies.run,
            monotonic=clock.monotonic,
        )
        self._settings = settings
        self._event = log.event
        self._found = True
        self._durability = durability
        self._journal = self._new_journal()
        self._tables = Tables(self._store, self._journal)
        self._keeper = Keeper(
            self._store,
            self._tables,
            self._journal,
            self._growth,
            most_bytes=most_bytes(settings),
            event=log.event,
            clock=clock,
            fault=fault,
        )
        self.outbox = Outbox(
            path,
            self._tables,
            job=self._job,
            wake_writer=self._wake,
            remove_body=self._remove_body,
            most_bytes=most_bytes(settings),
            log=log,
            clock=clock,
        )
        self.relay = RelayBox(
            path,
            self._tables,
            job=self._job,
            remove_body=self._remove_body,
            post=post,
            most_bytes=most_bytes(settings),
            log=log,
            clock=clock,
        )
        self.search = Search(
            self._tables,
            self.relay,
            job=self._job,
            post=post,
            remove_body=self._remove_body,
            clock=clock,
        )
        self._writer = Writer(
            self._journal,
            self._tables,
            self._keeper,
            settings,
            path=path,
            post=post,
            committed=self.outbox.note,
            relayed=self.relay.note,
            held_back=self.outbox.held_back,
            meter=log.meter,
            remove_body=self._remove_body,
            event=log.event,
            clock=clock,
            fault=fault,
            sync_later=durability == "relaxed",
        )
        self._copies = Copies(path, self._store, self._tables, self._journal, self._bodies, self._job)
        self._running = False

    def start(self) -> None:
        """Lock, open, clean up what a crash left, begin to write. Raises `SpoolError` with one clear line."""
        try:
            self._store.open()
        except StoreTaken as error:
            raise SpoolTaken(str(error)) from None
        except StoreError as error:
            raise SpoolError(str(error)) from None
        try:
            self._bodies.start()
            sequence = self._replay()
            if self._store.outdated:
                self._migrate(sequence - 1)
            self._tables.recount(PACK, MAIL, RELAY, WAIT, HELD)
            orphans = remove_orphans(self._tables, self._bodies.path)
            self._keeper.start()
            self._writer.start(sequence)
        except (SpoolError, *StorageError) as error:
            self._growth.stop()
            self._bodies.stop()
            self._bodies.close()
            self._journal.close()
            self._store.close()
            if isinstance(error, SpoolError):
                raise
            raise SpoolError(f"{self._store.path}: {error}") from None
        if orphans:
            self._log.event(
                f"spool {self._store.path}: removed {orphans} body file(s) of mail never accepted"
            )
        self._running = True

    def stop(self) -> None:
        """Write what waits, close, unlock. Nobody may submit any more, and delivery has stopped."""
        if self._running:
            self._copies.stop()
            self._running = False
            # Bodies first: a file that just became whole still wants its record.
            self._growth.stop()
            self._bodies.stop()
            self._writer.stop()
            self._keeper.stop(self._writer.sequence - 1)
            self._bodies.close()
            self._journal.close()
            self._store.close()

    def new_id(self) -> str:
        """See `Spool.new_id`."""
        return self._ids.make(self._now())

    def unhealthy(self) -> SpoolError | None:
        """See `Spool.unhealthy`."""
        return self._writer.trouble

    def copy(self, sock: socket.socket) -> None:
        """See `Copies.send`; on a thread of the caller's."""
        self._copies.send(sock)

    def messages(self) -> int:
        """How many messages wait, one for mailboxes and other hosts twice. What an earlier run has left for
        mailboxes, or is held from them, counts by the commits it came in."""
        return self._local() + self._tables.count(RELAY)

    def is_empty(self) -> bool:
        """Whether no message is in it, by a look at each table that holds some. Raises `StorageError`."""
        for table in (PACK, MAIL, RELAY, INTENT):
            with self._tables.page(table, b"", limit=1) as (found, after):
                if found or after is not None:
                    return False
        return True

    def load(self) -> SpoolLoad:
        """How full it is now. Raises `StorageError` while the tree is not open."""
        count = self._tables.count
        waiting, held = count(WAIT), count(HELD)
        return SpoolLoad(
            local=self._local(),
            fresh=max(0, count(RELAY) - waiting),
            deferred=max(0, waiting - held),
            held=held,
            used=self._store.high_water(),
            most=self._store.map_size,
            readers=self._store.readers(),
            trouble=self._writer.trouble is not None,
        )

    def _local(self) -> int:
        count = self._tables.count
        return max(count(PACK), self.outbox.backlog()[0]) + count(MAIL)

    @property
    def inline_limit(self) -> int:
        """See `Spool.inline_limit`."""
        return self._inline_limit

    def open_body(self, queue_id: str, prefix: bytes) -> FileBody:
        """See `Spool.open_body`."""
        return self._bodies.open(queue_id, prefix)

    def submit(
        self, envelope: Envelope, prefix: bytes, body: bytes | bytearray | BodyFile, done: Done
    ) -> None:
        """See `Spool.submit`."""
        if isinstance(body, (bytes, bytearray)):
            self._writer.insert(Insert(envelope, prefix, body, None, done))
            return
        if not isinstance(body, FileBody):
            raise TypeError("a body of another spool")
        file = body

        def written(error: SpoolError | None) -> None:
            if error is None:
                self._writer.insert(Insert(envelope, prefix, b"", file.size, done))
            else:
                self._post(lambda: done(error))

        file.finish(written)

    def attach(self) -> None:
        """Delivery begins: see `Outbox.attach`. Returns when mail stored from now on is handed over."""
        self.outbox.change(lambda changes: self.outbox.attach(self._writer.sequence))

    def _job(self, job: Job) -> None:
        if not self._running:
            job.finish(SpoolFailed(f"{self._store.path}: the spool is not open"))
            return
        self._writer.job(job)

    def _replay(self) -> int:
        """What stood in the journal is in the tables again; the number of the next commit."""
        journal, tables = self._journal, self._tables
        if not journal.open() and self._found:
            self._event(
                f"spool {self._store.path}: the journal is gone; if anybody removed it, mail that was accepted last "
                "is gone with it"
            )
        with tables.reading(STATE, APPLIED) as value:
            last = applied = 0 if value is None else int.from_bytes(value, "big")
        for region, number, changes in journal.replay(applied):
            tables.apply(region, 0, changes)
            last = number
        for line in journal.damage:
            self._event(f"spool {line}")
        with self._store.read() as txn:  # a pack's key is a number of these too, and must never be used again
            cursor = txn.cursor(db=self._store.db[PACK])
            if cursor.last():
                last = max(last, int.from_bytes(cursor.key(), "big"))
        if journal.region_bytes != self._settings.region_bytes and self._keeper.flush(last):
            journal.remake(self._settings.region_bytes)
        while len(journal.regions) < _WRITTEN_AT_START:
            try:
                journal.extend()
            except OSError as problem:
                if not journal.regions:
                    raise SpoolError(f"{self._store.path}/journal: {problem.strerror}") from None
                break
        return last + 1

    def _migrate(self, last: int) -> None:
        """What stands in the journal, in words of the old format, is moved into the tree first: then the tree is all
        there is. Raises `SpoolError`."""
        if not self._keeper.flush(last):
            raise self._keeper.trouble or SpoolFailed(f"{self._store.path}: it cannot be migrated now")
        self._store.migrate()
        self._event(f"spool {self._store.path}: migrated to format {FORMAT}")

    def _new_journal(self) -> Journal:
        return Journal(
            self._store.path / "journal",
            region_bytes=self._settings.region_bytes,
            most_regions=JOURNAL_REGIONS,
            sync=self._durability == "full",
            late=self._durability == "relaxed",
        )

    def _created(self) -> None:
        """The database is new: if there was another, what stands in the journal is all that is left of it."""
        self._found = False
        path = self._store.path
        known: set[str] = set()
        if (path / "journal").exists():
            journal = self._new_journal()
            try:
                journal.open()
                known, count = named_bodies(journal)
            finally:
                journal.close()
            if count:
                self._event(
                    f"spool {path}: the database is new, so what the last one held is gone; what stands in the "
                    "journal is kept"
                )
        corrupt = path / "corrupt"
        kept = keep_bodies(path / "body", corrupt, known)
        if kept:
            self._event(
                f"spool {path}: the database is new, yet there are {kept} body file(s) of large mail: moved to "
                f"{corrupt}"
            )

    def _wake(self) -> None:
        self._writer.wake()

    def _remove_body(self, queue_id: str) -> None:
        if self._running:
            self._bodies.run(lambda: self._bodies.remove(queue_id))
        else:
            self._bodies.remove(queue_id)
