"""What the queue for other hosts sees of the spool: relay records, and what is known of those that wait.

A relay record is written once, by the commit before 250, and goes when every recipient is final. As long as its
first attempt is not over it is *fresh*: it has no row in ``wait``, and an attempt that succeeds at once costs one
record and its removal, nothing else. What is left over waits: with a due time of its own, with its site (found by
the domain when the site opens), or held.

All methods but `note` are called on the loop's thread, where the call-backs come too. What is asked for here does
not show what `settle` is about to remove or change: a message is never begun twice because a commit takes its time.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from fastsmtp.clock import Clock
from fastsmtp.mail.envelope import Envelope
from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.changes import Changes, Job
from fastsmtp.spool.corrupt import set_aside
from fastsmtp.spool.order import KeySet
from fastsmtp.spool.record import Damaged, read_envelope, read_record
from fastsmtp.spool.rows import remove, wait
from fastsmtp.spool.tables import BY_DOMAIN, BY_DUE, HELD, RELAY, WAIT, Tables
from fastsmtp.spool.waiting import (
    OWN_DUE,
    Waiting,
    decode_waiting,
    domain_of,
    domain_start,
    due_key,
    due_of,
    id_of,
)
from fastsmtp.telemetry.maillog import MailLog

PIECE = 100
"""Changes of one job, at most; some 4 ms of the writer's time, which new mail may have to wait for."""
_DUE_PAGE = 500
_LOOK = 5000
"""Rows one call looks at, at most ..."""
_TURN = 0.002
"""... and the seconds after which it looks at no more: everything else on the loop has its turn."""
_MOST_FRESH = 100_000
"""Fresh records kept in mind; of more than that, all are looked for on the disk."""
_FREED_PER_BYTE = 8
_ROW = 128
"""About the bytes of an index row in a frame, and in the tree."""
_TRY = 32
"""About the bytes of an attempt beside its words."""


class Defer(NamedTuple):
    """The message waits, as ``waiting`` says. What an operator has said of it, held or its hops, stands."""

    id: str
    waiting: Waiting


class Finish(NamedTuple):
    """All recipients of the message are final. It had so many: each has rows that go."""

    id: str
    recipients: int = 1


class Page(NamedTuple):
    """Some ids (or domains), and where to go on; None: there are no more. A page may be shorter than was asked for,
    or empty, and yet not be the last: the work of one call is bounded."""

    found: list[str]
    position: bytes | None


class Mail(NamedTuple):
    """A relay record. Its content, without Return-Path, is ``view``, which counts until the reader is left; or,
    when ``path`` is not None, ``length`` bytes from ``offset`` of that file, which stays until `Finish`."""

    envelope: Envelope
    view: memoryview | None
    path: Path | None
    offset: int
    length: int


Settled = Callable[[SpoolError | None], None]


class RelayBox:
    """See the module. ``post`` calls a callable on the loop's thread, from any thread."""

    def __init__(
        self,
        path: Path,
        tables: Tables,
        *,
        job: Callable[[Job], None],
        remove_body: Callable[[str], None],
        post: Callable[[Callable[[], None]], object],
        most_bytes: int,
        log: MailLog,
        clock: Clock,
    ) -> None:
        self.on_fresh: Callable[[Envelope, int], None] | None = None
        """Called for each relay record that was committed, with its envelope and the length of its content; those
        of one commit in one turn of the loop, after their 250."""
        self.on_changed: Callable[[Sequence[str]], None] | None = None
        """Called with the ids of what an operator has changed: held, released, made due, or removed."""
        self.bodies = path / "body"
        self._path = path
        self._tables = tables
        self._job = job
        self._remove_body = remove_body
        self._post = post
        self._most_bytes = most_bytes
        self._log = log
        self._clock = clock
        self._settling: dict[str, int] = {}
        self._fresh = KeySet()
        self._fresh_known = False
        self._walked = b""

    # --- the writer's side ----------------------------------------------------------------------
    def note(self, letters: list[tuple[Envelope, int]]) -> None:
        """These were committed. Called on the writer's thread."""
        self._post(lambda: self._arrived(letters))

    def _arrived(self, letters: list[tuple[Envelope, int]]) -> None:
        on_fresh = self.on_fresh
        for envelope, length in letters:
            self._is_fresh(envelope.id.encode())
            if on_fresh is not None:
                on_fresh(envelope, length)

    # --- settling -------------------------------------------------------------------------------
    def finish(self, queue_id: str, done: Settled) -> None:
        """See `Finish`; ``done`` is called when it is committed, or cannot be. A bounce is to be accepted by the
        intake before: a crash in between sends it twice, and never loses it."""
        self.settle([Finish(queue_id)], done)

    def settle(self, changes: Sequence[Defer | Finish], done: Settled) -> None:
        """Commit many changes, in pieces of bounded size; ``done`` is called once, with the first error if there
        was one. A message that is gone meanwhile stays gone. Storage that fails is tried again until it does not: an
        error comes only when the spool ends. Due times become whole milliseconds, in ``changes`` too, which are not
        to be changed before ``done``. Where a row would be more than a commit takes easily, what was said by other
        hosts is left out of it."""
        changes = [self._fitted(change) for change in changes]
        for change in changes:
            self._settling[change.id] = self._settling.get(change.id, 0) + 1
            if isinstance(change, Defer):
                for rcpt in change.waiting.rcpts:
                    rcpt.due = round(rcpt.due, 3)
        pieces = list(self._pieces(changes))
        left = len(pieces)
        first: SpoolError | None = None

        def one(piece: list[Defer | Finish], error: SpoolError | None) -> None:
            nonlocal left, first
            self._no_longer_settling(piece)
            first = first or error
            left -= 1
            if not left:
                done(first)

        if not pieces:
            self._post(lambda: done(None))
        for piece, size in pieces:
            self._commit(piece, size, one)

    def _fitted(self, change: Defer | Finish) -> Defer | Finish:
        if isinstance(change, Finish) or _needs(change) <= self._most_bytes:
            return change
        row = change.waiting
        brief = [rcpt.brief() for rcpt in row.rcpts]
        return Defer(change.id, Waiting(row.queued_at, row.noticed, row.held, brief, row.hops))

    def _pieces(self, changes: Sequence[Defer | Finish]) -> Iterator[tuple[list[Defer | Finish], int]]:
        piece: list[Defer | Finish] = []
        size = 0
        for change in changes:
            needs = _needs(change)
            if piece and (len(piece) >= PIECE or size + needs > self._most_bytes):
                yield piece, size
                piece, size = [], 0
            piece.append(change)
            size += needs
        if piece:
            yield piece, size

    def _commit(
        self,
        piece: list[Defer | Finish],
        size: int,
        one: Callable[[list[Defer | Finish], SpoolError | None], None],
    ) -> None:
        gone: list[str] = []

        def apply(changes: Changes) -> None:
            finished: list[str] = []
            for change in piece:
                if isinstance(change, Finish):
                    finished.append(change.id)
                else:
                    wait(changes, change.id, change.waiting)
            gone[:] = remove(changes, finished)[1]

        def done(error: SpoolError | None) -> None:
            if error is None:
                for queue_id in gone:
                    self._remove_body(queue_id)
            self._post(lambda: one(piece, error))

        self._job(Job(apply, done, urgent=False, size=size))

    def _no_longer_settling(self, piece: Iterable[Defer | Finish]) -> None:
        for change in piece:
            self._fresh.discard(change.id.encode())
            left = self._settling[change.id] - 1
            if left:
                self._settling[change.id] = left
            else:
                del self._settling[change.id]

    def changed(self, ids: Sequence[str]) -> None:
        """An operator has changed these, and it is committed."""
        for queue_id in ids:
            self._fresh.discard(queue_id.encode())
        if self.on_changed is not None:
            self.on_changed(ids)

    # --- reading --------------------------------------------------------------------------------
    @contextmanager
    def reading(self, queue_id: str) -> Iterator[Mail | None]:
        """A message, for a short time: while it is looked at, the journal cannot go on beyond it, and nothing else
        may be asked for. None when it is gone, or cannot be read (then it is set aside)."""
        with self._tables.reading(RELAY, queue_id.encode()) as value:
            if value is None:
                yield None
                return
            try:
                letter, _ = read_record(value)
            except Damaged as damage:
                self._damaged(queue_id, bytes(value), damage)
                yield None
                return
            length = letter.length - letter.skip
            if letter.filed:
                yield Mail(letter.envelope, None, self.bodies / queue_id, letter.skip, length)
            else:
                view = memoryview(value)[letter.offset : letter.offset + length]
                yield Mail(letter.envelope, view, None, 0, length)

    def load(self, queue_id: str) -> tuple[Envelope, Waiting | None] | None:
        """A message's envelope and what is known of it, None as long as it is fresh; None when it is gone."""
        key = queue_id.encode()
        with self._tables.reading(RELAY, key) as value:
            if value is None:
                return None
            try:
                envelope, _, _ = read_envelope(value)
            except Damaged as damage:
                self._damaged(queue_id, bytes(value), damage)
                return None
        try:  # while the record is looked at, nothing else may be asked for
            return envelope, self.waiting(queue_id)
        except Damaged as damage:
            with self._tables.reading(RELAY, key) as value:
                content = b"" if value is None else bytes(value)
            self._damaged(queue_id, content, damage)
            return None

    def waiting(self, queue_id: str) -> Waiting | None:
        """What is known of a message that waits. Raises `Damaged`."""
        key = queue_id.encode()
        held = self._tables.has(HELD, key)
        with self._tables.reading(WAIT, key) as value:
            return None if value is None else decode_waiting(value, held=held)

    def is_held(self, queue_id: str) -> bool:
        """Whether an operator wants it left alone."""
        return self._tables.has(HELD, queue_id.encode())

    def fresh(self, position: bytes, limit: int) -> Page:
        """Relay records without a row in ``wait``, from ``position`` (b"" at first) on, in order of their ids. What
        was handed over by `on_fresh` is among them."""
        if self._fresh_known:
            found = self._fresh.first(position, limit + 1)
            following = found.pop() if len(found) > limit else None
        else:
            found, following = self._walk(position, limit)
            if position <= self._walked:
                in_mind = all(map(self._is_fresh, found))
                self._walked = following if in_mind and following is not None else b""
                self._fresh_known = in_mind and following is None
        ids = map(bytes.decode, found)
        return Page([one for one in ids if one not in self._settling], following)

    def _walk(self, position: bytes, limit: int) -> tuple[list[bytes], bytes | None]:
        found: list[bytes] = []
        following: bytes | None = position
        looked = 0
        until = self._clock.monotonic() + _TURN
        while following is not None and len(found) < limit and looked < _LOOK:
            if looked and self._clock.monotonic() > until:
                break
            start = following
            with self._tables.page(RELAY, start, limit=2 * limit) as (records, following):
                keys = [key for key, _ in records]
            with self._tables.page(WAIT, start, following) as (rows, _):
                waiting = {key for key, _ in rows}
            looked += 2 * limit
            found += [key for key in keys if key not in waiting]
        if len(found) > limit:
            following = found[limit]
        return found[:limit], following

    def _is_fresh(self, key: bytes) -> bool:
        """Keep it in mind; false when these are too many."""
        self._fresh.add(key)
        if len(self._fresh) <= _MOST_FRESH:
            return True
        self._fresh = KeySet()
        self._fresh_known = False
        self._walked = b""
        return False

    def due_from(self, entry: tuple[float, str]) -> Iterator[tuple[float, str]]:
        """The due times, with the ids of their messages, from ``entry`` on (itself included), ascending; read as far
        as they are asked for, in one turn of the loop. What is being tried is among them."""
        at, queue_id = entry
        position: bytes | None = b""
        if at > 0:
            position = due_key(at) + b"\0" + queue_id.encode() if at < float("inf") else None
        while position is not None:
            with self._tables.page(BY_DUE, position, limit=_DUE_PAGE) as (rows, position):
                keys = [key for key, _ in rows]
            for key in keys:
                if id_of(key) not in self._settling:
                    yield due_of(key), id_of(key)

    def domains(self, position: bytes, limit: int) -> Page:
        """The domains mail waits for, in order of their labels from the right; held mail counts here."""
        found: list[str] = []
        following: bytes | None = position
        size = 1
        while following is not None and len(found) < limit:
            with self._tables.page(BY_DOMAIN, following, limit=size) as (rows, following):
                key = rows[0][0] if rows else None
            if key is None:  # only such as are gone, so far
                size = min(2 * size, _DUE_PAGE)
                continue
            size = 1
            found.append(domain_of(key))
            following = key.partition(b"\0")[0] + b"\1"
        return Page(found, following)

    def of_domain(self, domain: str, position: bytes, limit: int) -> Page:
        """The messages that wait with a site for recipients in ``domain``, in order of the recipients; neither those
        held nor those whose recipients there have due times of their own."""
        start = domain_start(domain) + b"\0"
        end = start[:-1] + b"\1"
        found: dict[str, None] = {}
        following: bytes | None = max(position, start)
        looked = 0
        until = self._clock.monotonic() + _TURN
        while following is not None and len(found) < limit and looked < _LOOK:
            if looked and self._clock.monotonic() > until:
                break
            with self._tables.page(BY_DOMAIN, following, end, limit) as (rows, following):
                ids = [id_of(key) for key, value in rows if not len(value) or not value[0] & OWN_DUE]
            looked += limit
            held = self._tables.which(HELD, [one.encode() for one in ids])
            for queue_id, is_held in zip(ids, held, strict=True):
                if not is_held and queue_id not in self._settling:
                    found[queue_id] = None
        return Page(list(found), following)

    # --- damage ---------------------------------------------------------------------------------
    def _damaged(self, queue_id: str, content: bytes, damage: Damaged) -> None:
        """Keep the bytes for a person, and forget the record."""
        path = set_aside(self._path / "corrupt", queue_id, content, str(damage), self._clock.now(), None)
        self._log.event(f"spool {self._path}: {damage}; its bytes are set aside as {path}")
        self.finish(queue_id, lambda error: None)


def _needs(change: Defer | Finish) -> int:
    """About the bytes the change puts."""
    if isinstance(change, Finish):
        return 3 * _ROW * change.recipients
    size = 4 * _ROW
    for rcpt in change.waiting.rcpts:
        size += 4 * _ROW
        for one in rcpt.tries:
            size += _TRY + len(one.remote) + len(one.text) * (1 if one.text.isascii() else 4)
    return size
