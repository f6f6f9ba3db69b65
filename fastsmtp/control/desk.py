"""The queue of a shard that this process has open, as a `QueueDesk`.

What is on disk is found and changed by `spool.search`; what only whoever delivers knows and can do (sites, an attempt
now, a bounce) by an `Engine`, where there is one.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from fastsmtp.clock import Clock
from fastsmtp.control.queue import (
    MOST_HEAD,
    Change,
    Changed,
    Counted,
    NotPossible,
    QueueFilter,
    QueuePage,
    QueueRow,
    RecipientRow,
    Shown,
    SitePage,
    SiteRow,
    State,
    Work,
)
from fastsmtp.mail.envelope import Envelope
from fastsmtp.queue.plan.site import SiteState
from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.filter import Filter
from fastsmtp.spool.lmdb import LmdbSpool
from fastsmtp.spool.search import Action, Found
from fastsmtp.spool.search import Changed as SpoolChanged
from fastsmtp.spool.waiting import RcptState, Waiting

MOST_RECIPIENTS = 5
"""Recipients of a message in a list."""
MOST_NAMED = 10
"""Queue ids in one line of the log."""
MOST_GIVEN_UP = 50
"""Messages that are given up by one call: each may become a notification."""


class Engine(Protocol):
    """Whoever delivers from the shard; times are queue time."""

    def sites(self) -> Iterable[SiteState]:
        """All sites that are known."""

    def wall_time(self, at: float) -> float:
        """A moment of queue time as the clock shows it."""

    async def hurry(self, queue_ids: Sequence[str]) -> None:
        """End the pauses of the sites these messages wait for."""

    async def give_up(self, queue_ids: Sequence[str]) -> list[str]:
        """Let these fail for all who are not being delivered to at this moment; those it was done to, when their
        senders are told and it is stored. What was not begun with stays."""


class SpoolDesk:
    """Called on the loop's thread. Without an ``engine`` nothing is delivered from ``spool`` now. ``event`` writes a
    line into the log for each piece of a change."""

    def __init__(
        self,
        spool: LmdbSpool,
        clock: Clock,
        engine: Engine | None = None,
        event: Callable[[str], object] | None = None,
    ) -> None:
        self._spool = spool
        self._clock = clock
        self._engine = engine
        self._event = event

    async def find(self, filter: QueueFilter, position: bytes, limit: int) -> QueuePage:
        """See `QueueDesk.find`."""
        page = self._spool.search.find(_filter(filter), position, limit)
        return QueuePage(
            rows=[self._row(found) for found in page.found],
            position=page.position,
            work=self._work(page.looked, page.scan),
        )

    async def count(self, filter: QueueFilter, position: bytes) -> Counted:
        """See `QueueDesk.count`."""
        counted = self._spool.search.count(_filter(filter), position)
        return Counted(
            messages=counted.messages,
            position=counted.position,
            work=self._work(counted.looked, counted.scan),
        )

    async def show(self, queue_id: str) -> Shown | None:
        """See `QueueDesk.show`."""
        page = self._spool.search.find(Filter(ids=(queue_id,)), b"", 1)
        if not page.found:
            return None
        envelope, waiting, length = page.found[0]
        return Shown(
            id=envelope.id,
            state=_state(waiting),
            queued_at=envelope.received_at,
            size=length,
            sender=envelope.sender,
            params=envelope.params or {},
            client_ip=envelope.client_ip,
            helo=envelope.helo,
            protocol=envelope.protocol,
            recipients=self._recipients(envelope, waiting, len(envelope.recipients)),
            head=self._head(queue_id),
        )

    async def change(self, change: Change, position: bytes) -> Changed:
        """See `QueueDesk.change`."""
        filter, action = _filter(change.filter), change.action
        if action == "bounce":
            return await self._bounce(filter, position)
        changed = await self._apply(filter, action, position)
        self._tell(action, changed.ids)
        if action == "retry" and self._engine is not None:
            await self._engine.hurry(changed.ids)
        return Changed(
            messages=len(changed.ids),
            skipped=changed.skipped,
            position=changed.position,
            work=self._work(changed.looked, changed.scan),
        )

    async def sites(self, position: str, limit: int) -> SitePage:
        """See `QueueDesk.sites`."""
        if self._engine is None:
            raise NotPossible("sites are known to a running server only")
        later = sorted((one for one in self._engine.sites() if one.name > position), key=lambda one: one.name)
        return SitePage(
            rows=[self._site(one) for one in later[:limit]],
            position=later[limit - 1].name if len(later) > limit else None,
        )

    # --- changing -----------------------------------------------------------------------------

    async def _apply(self, filter: Filter, action: Action, position: bytes) -> SpoolChanged:
        over: asyncio.Future[SpoolChanged] = asyncio.get_running_loop().create_future()

        def done(error: SpoolError | None, changed: SpoolChanged) -> None:
            if over.cancelled():
                return
            if error is not None:
                over.set_exception(NotPossible(f"{action}: {error}"))
            else:
                over.set_result(changed)

        self._spool.search.apply(filter, action, position, done)
        return await over

    async def _bounce(self, filter: Filter, position: bytes) -> Changed:
        if self._engine is None:
            raise NotPossible("bounce: notifications are sent by a running server only")
        page = self._spool.search.find(filter, position, MOST_GIVEN_UP)
        given_up = await self._engine.give_up([found.envelope.id for found in page.found])
        self._tell("bounce", given_up)
        return Changed(
            messages=len(given_up),
            skipped=len(page.found) - len(given_up),
            position=page.position,
            work=self._work(page.looked, page.scan),
        )

    def _tell(self, action: str, queue_ids: Sequence[str]) -> None:
        if self._event is not None and queue_ids:
            others = f" and {len(queue_ids) - MOST_NAMED} others" if len(queue_ids) > MOST_NAMED else ""
            self._event(f"queue: {action} by hand: {', '.join(queue_ids[:MOST_NAMED])}{others}")

    # --- showing ------------------------------------------------------------------------------

    def _work(self, looked: int, scan: bool) -> Work:
        return Work(scan=scan, total=self._spool.search.about(), looked=looked)

    def _row(self, found: Found) -> QueueRow:
        envelope, waiting, length = found
        return QueueRow(
            id=envelope.id,
            state=_state(waiting),
            queued_at=envelope.received_at,
            size=length,
            sender=envelope.sender,
            recipients=self._recipients(envelope, waiting, MOST_RECIPIENTS),
            waiting=len(envelope.recipients if waiting is None else waiting.rcpts),
        )

    def _recipients(self, envelope: Envelope, waiting: Waiting | None, most: int) -> list[RecipientRow]:
        if waiting is None:
            states = [RcptState(number) for number in range(len(envelope.recipients))]
        else:
            states = waiting.rcpts
        return [self._recipient(envelope, waiting, state) for state in states[:most]]

    def _recipient(self, envelope: Envelope, waiting: Waiting | None, state: RcptState) -> RecipientRow:
        known = envelope.recipients[state.number]
        if waiting is None:
            why = "on its first attempt, or before it"
        elif waiting.held:
            why = "held, until it is released"
        elif state.due:
            why = ""
        else:
            why = "when its site takes mail again"
        return RecipientRow(
            address=known.address,
            original=known.original,
            params=known.params or {},
            status="deferred" if state.tries else "waiting",
            attempts=state.attempts,
            last_at=self._wall(state.last_at) if state.last_at else None,
            next_at=self._next(state.due) if state.due and waiting is not None and not waiting.held else None,
            code=state.code,
            enhanced=state.enhanced,
            reply=state.text,
            remote=state.remote,
            why=why,
        )

    def _next(self, due: float) -> float:
        """When it is tried next: now, where that time has come."""
        return max(self._wall(due), self._clock.now())

    def _wall(self, at: float) -> float:
        return at if self._engine is None else self._engine.wall_time(at)

    def _head(self, queue_id: str) -> bytes:
        """The header of a message, as far as it is shown."""
        with self._spool.relay.reading(queue_id) as mail:
            if mail is None:
                return b""
            if mail.view is not None:
                start = bytes(mail.view[:MOST_HEAD])
            else:
                assert mail.path is not None
                try:
                    with mail.path.open("rb") as file:
                        file.seek(mail.offset)
                        start = file.read(MOST_HEAD)
                except OSError:
                    return b""
        head, end, _ = start.partition(b"\r\n\r\n")
        return head + end[:2]

    def _site(self, state: SiteState) -> SiteRow:
        return SiteRow(
            name=state.name,
            health=state.health,
            window=state.window,
            in_flight=state.in_flight,
            waiting=state.waiting,
            next_at=None if state.next_at is None else self._wall(state.next_at),
            reason=state.reason,
            since=self._wall(state.since),
            attempts=state.attempts,
        )


def _filter(filter: QueueFilter) -> Filter:
    return Filter(**{name: getattr(filter, name) for name in filter.__struct_fields__})


def _state(waiting: Waiting | None) -> State:
    return "fresh" if waiting is None else "held" if waiting.held else "deferred"
