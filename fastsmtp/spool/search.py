"""Relay mail found by a filter, and changed by one, in pieces that hold up nobody.

Each call looks at a bounded number of messages and says where to go on. What waits comes first, in the order of the
index that answers (`plan_of`), then what is fresh, in the order of ids. Over all pages a message comes once, though
it may have several rows in a range: it counts at the first. What changes between two calls may come twice or not at
all.
"""

from collections.abc import Callable
from typing import NamedTuple

from fastsmtp.clock import Clock
from fastsmtp.mail.envelope import Envelope
from fastsmtp.mail.ids import LENGTH
from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.bulk import Action, Bulk, Changed, Picked
from fastsmtp.spool.changes import Job
from fastsmtp.spool.filter import Filter, Matcher, Plan, plan_of
from fastsmtp.spool.record import Damaged, read_envelope
from fastsmtp.spool.relay import RelayBox
from fastsmtp.spool.tables import HELD, RELAY, WAIT, Tables
from fastsmtp.spool.waiting import SEVERAL, Waiting, decode_waiting, id_of, index_rows

_LOOK = 2000
"""Messages one call looks at, at most."""
_LEAST = 50
_LOOK_PIECE = 500
"""The same for a piece of a change."""
_ROWS = 3000
"""Rows one call counts, when they need not be looked at."""
_AT_ONCE = 100
"""Messages that are looked at between two looks at the clock ..."""
_TURN = 0.004
"""... and the seconds after which a call looks at no more: everything else on the loop has its turn ..."""
_PICK = 0.001
"""... or the next piece of a change, of which there may be very many."""


class Found(NamedTuple):
    """A message: ``waiting`` is None as long as it is fresh, ``length`` that of its content in octets."""

    envelope: Envelope
    waiting: Waiting | None
    length: int


class FoundPage(NamedTuple):
    """Some messages, and where to go on (None: these were the last); ``looked`` at how many, and whether this is a
    ``scan`` of everything. There may be none and yet a position."""

    found: list[Found]
    position: bytes | None
    looked: int
    scan: bool


class Counted(NamedTuple):
    """How many messages this call found; see `FoundPage`."""

    messages: int
    position: bytes | None
    looked: int
    scan: bool


class Search:
    """Called on the loop's thread, like ``box``. A position is of one filter and means nothing for another."""

    def __init__(
        self,
        tables: Tables,
        box: RelayBox,
        *,
        job: Callable[[Job], None],
        post: Callable[[Callable[[], None]], object],
        remove_body: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self._tables = tables
        self._box = box
        self._job = job
        self._post = post
        self._remove_body = remove_body
        self._clock = clock

    def total(self) -> int:
        """How many relay messages there are."""
        return self._tables.count(RELAY)

    def find(
        self, filter: Filter, position: bytes, limit: int, *, look: int = _LOOK, turn: float = _TURN
    ) -> FoundPage:
        """Up to ``limit`` messages from ``position`` (b"" at first) on, of ``look`` that are looked at, for about
        ``turn`` seconds."""
        now = self._clock.now()
        plan, matcher = plan_of(filter, now), Matcher(filter, now)
        found: list[Found] = []
        looked = work = 0
        following: bytes | None = position or b"w"
        until = self._clock.monotonic() + turn
        while following is not None and len(found) < limit and work < look:
            most = min(limit - len(found), look, _AT_ONCE)
            ids, following = self._candidates(filter, plan, matcher, following, most)
            looked += len(ids)
            work += max(len(ids), _LEAST)  # there may be many keys that are gone
            found += self._fitting(plan, matcher, ids)
            if self._clock.monotonic() > until:
                break
        return FoundPage(found, following, looked, plan.scan and filter.ids is None)

    def count(self, filter: Filter, position: bytes) -> Counted:
        """How many there are, as far as one call goes."""
        if filter == Filter():
            return Counted(self.total(), None, 0, False)
        now = self._clock.now()
        plan = plan_of(filter, now)
        if plan.exact and position[:1] != b"f":
            return self._count_rows(filter, plan, Matcher(filter, now), position[1:] or plan.start)
        page = self.find(filter, position, _LOOK)
        return Counted(len(page.found), page.position, page.looked, page.scan)

    def apply(
        self,
        filter: Filter,
        action: Action,
        position: bytes,
        done: Callable[[SpoolError | None, Changed], None],
        hops: tuple[str, ...] = (),
    ) -> None:
        """Do it to the next messages from ``position`` on, in pieces (`Bulk`); then ``done`` is called with what was
        changed, durably also where there was an error, and where to go on. ``hops`` are those of ``reroute``; see
        `Waiting`."""

        Bulk(
            action,
            hops,
            position,
            pick=lambda at, limit: self._pick(filter, at, limit),
            changed=self._box.changed,
            done=done,
            job=self._job,
            post=self._post,
            remove_body=self._remove_body,
            monotonic=self._clock.monotonic,
        ).begin()

    def _pick(self, filter: Filter, position: bytes, limit: int) -> Picked:
        """As `find`, for who wants to know no more than ids: where a row says all, nothing else is read."""
        now = self._clock.now()
        plan = plan_of(filter, now)
        if not plan.exact or position[:1] == b"f":
            page = self.find(filter, position, limit, look=_LOOK_PIECE, turn=_PICK)
            ids = [(found.envelope.id, found.waiting is None) for found in page.found]
            return Picked(ids, page.position, page.looked, page.scan)
        matcher = Matcher(filter, now)
        rows, following = self._candidates(filter, plan, matcher, position or b"w", limit)
        ids = [(queue_id, False) for queue_id, row in rows if not row]
        several = self._fitting(plan, matcher, [one for one in rows if one[1]])
        ids += [(found.envelope.id, False) for found in several]
        return Picked(ids, following, len(rows), False)

    # --- looking --------------------------------------------------------------------------------
    def _candidates(
        self, filter: Filter, plan: Plan, matcher: Matcher, position: bytes, limit: int
    ) -> tuple[list[tuple[str, bytes]], bytes | None]:
        """Ids that may fit, with the row of each that names it (empty when there can be no other), and where to go
        on: "w" and a key among what waits, then "f" and a key among what is fresh."""
        if filter.ids is not None:
            start = int(position[1:] or b"0")
            ids = [one for one in dict.fromkeys(filter.ids) if len(one) == LENGTH and one.isascii()]
            more = b"w%d" % (start + limit) if start + limit < len(ids) else None
            return [(one, b"") for one in ids[start : start + limit]], more
        if position[:1] == b"w":
            if matcher.may_wait:
                start_key = position[1:] or plan.start
                with self._tables.page(plan.table, start_key, plan.end, max(limit, _LEAST)) as (
                    rows,
                    following,
                ):
                    found = [
                        (id_of(key), b"" if plan.once or not len(value) or not value[0] & SEVERAL else key)
                        if plan.table is not WAIT
                        else (key.decode(), b"")
                        for key, value in rows[:limit]
                    ]
                    if len(rows) > limit:
                        following = rows[limit][0]
                if following is not None:
                    return found, b"w" + following
                return found, b"f" if matcher.may_be_fresh else None
            position = b"f"
        if not matcher.may_be_fresh:
            return [], None
        fresh, following = self._box.fresh(position[1:], limit)
        return [(one, b"") for one in fresh], None if following is None else b"f" + following

    def _fitting(self, plan: Plan, matcher: Matcher, ids: list[tuple[str, bytes]]) -> list[Found]:
        fitting: list[Found] = []
        keys = [queue_id.encode() for queue_id, _ in ids]
        held = self._tables.which(HELD, keys)
        rows = self._tables.several(WAIT, keys)
        with self._tables.many(RELAY, keys) as values:
            for (_, row), value, waits, is_held in zip(ids, values, rows, held, strict=True):
                if value is None:
                    continue  # it has gone meanwhile
                try:
                    envelope, length, _ = read_envelope(value)
                    waiting = None if waits is None else decode_waiting(waits, held=is_held)
                except Damaged:
                    continue  # whoever is to send it sets it aside
                if matcher.fits(envelope, waiting) and (not row or row == _first(plan, envelope, waiting)):
                    fitting.append(Found(envelope, waiting, length))
        return fitting

    def _count_rows(self, filter: Filter, plan: Plan, matcher: Matcher, start: bytes) -> Counted:
        with self._tables.page(plan.table, start, plan.end, _ROWS) as (rows, following):
            looked = len(rows)
            several = (
                []
                if plan.once
                else [(id_of(key), key) for key, value in rows if len(value) and value[0] & SEVERAL]
            )
        count = looked - len(several)
        for at in range(0, len(several), _LOOK):
            count += len(self._fitting(plan, matcher, several[at : at + _LOOK]))
        if following is not None:
            return Counted(count, b"w" + following, looked, False)
        return Counted(count, b"f" if matcher.may_be_fresh else None, looked, False)


def _first(plan: Plan, envelope: Envelope, waiting: Waiting | None) -> bytes | None:
    """The first row of the message in the range."""
    return min(
        (
            key
            for table, key in index_rows(envelope, waiting)
            if table == plan.table and key >= plan.start and (plan.end is None or key < plan.end)
        ),
        default=None,
    )
