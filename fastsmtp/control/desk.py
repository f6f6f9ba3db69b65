"""The queue of a shard that this process has open, as a `QueueDesk`.

What is on disk is found and changed by `spool.search`; what only whoever delivers knows and can do (sites, an attempt
now, a bounce) by an `Engine`, where there is one.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from fastsmtp.clock import Clock
from fastsmtp.control.queue import (
    Action as ChangeAction,
)
from fastsmtp.control.queue import (
    Change,
    Changed,
    Counted,
    NotPossible,
    QueueFilter,
    QueuePage,
    Shown,
    SitePage,
    TlsPage,
    Work,
)
from fastsmtp.control.rows import Routes, Rows, Times, TlsTally, tls_row
from fastsmtp.queue.plan.site import SiteState
from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.bulk import Action
from fastsmtp.spool.bulk import Changed as SpoolChanged
from fastsmtp.spool.filter import Filter, glob
from fastsmtp.spool.lmdb import LmdbSpool

MOST_GIVEN_UP = 50
"""Messages that are given up by one call: each may become a notification."""


class Engine(Times, Protocol):
    """Whoever delivers from the shard; times are queue time."""

    def sites(self) -> Iterable[SiteState]:
        """All sites that are known."""

    def tls(self) -> Iterable[TlsTally]:
        """How TLS went with each domain; nothing where the engine of another shard tells it."""

    async def hurry(self, queue_ids: Sequence[str]) -> None:
        """End the pauses of the sites these messages wait for."""

    async def give_up(self, queue_ids: Sequence[str]) -> list[str]:
        """Let these fail for all who are not being delivered to at this moment; those it was done to, when their
        senders are told and it is stored. What was not begun with stays."""


class SpoolDesk:
    """Called on the loop's thread. Without an ``engine`` nothing is delivered from ``spool`` now. ``told`` hears
    of each message that was changed: its id, what was done, and the hops of a reroute."""

    def __init__(
        self,
        spool: LmdbSpool,
        clock: Clock,
        routes: Routes,
        engine: Engine | None = None,
        told: Callable[[str, ChangeAction, Sequence[str]], object] | None = None,
    ) -> None:
        self._spool = spool
        self._routes = routes
        self._engine = engine
        self._told = told
        self._rows = Rows(spool, clock, routes, engine)

    async def find(self, filter: QueueFilter, position: bytes, limit: int) -> QueuePage:
        """See `QueueDesk.find`."""
        page = self._spool.search.find(self._filter(filter), position, limit)
        return QueuePage(
            rows=[self._rows.row(found) for found in page.found],
            position=page.position,
            work=self._work(page.looked, page.scan),
        )

    async def count(self, filter: QueueFilter, position: bytes) -> Counted:
        """See `QueueDesk.count`."""
        counted = self._spool.search.count(self._filter(filter), position)
        return Counted(
            messages=counted.messages,
            position=counted.position,
            work=self._work(counted.looked, counted.scan),
        )

    async def show(self, queue_id: str) -> Shown | None:
        """See `QueueDesk.show`."""
        page = self._spool.search.find(Filter(ids=(queue_id,)), b"", 1)
        return self._rows.shown(page.found[0]) if page.found else None

    async def change(self, change: Change, position: bytes) -> Changed:
        """See `QueueDesk.change`."""
        filter, action = self._filter(change.filter), change.action
        if action == "bounce":
            return await self._bounce(filter, position)
        if change.hops:
            try:
                self._routes.check(change.hops)
            except ValueError as error:
                raise NotPossible(f"{action}: {error}") from None
        failure, changed = await self._apply(filter, action, position, change.hops)
        self._tell(action, changed.ids, change.hops)
        if action in ("retry", "reroute") and self._engine is not None:
            await self._engine.hurry(changed.ids)
        if failure is not None:
            before = f"; {len(changed.ids)} more messages were changed before" if changed.ids else ""
            raise NotPossible(f"{action}: {failure}{before}")
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
            rows=[self._rows.site(one) for one in later[:limit]],
            position=later[limit - 1].name if len(later) > limit else None,
        )

    async def tls(self, position: str, limit: int) -> TlsPage:
        """See `QueueDesk.tls`."""
        if self._engine is None:
            raise NotPossible("how TLS went is known to a running server only")
        tallies = {f"{one.domain} {one.policy}": one for one in self._engine.tls()}
        later = sorted(key for key in tallies if key > position)
        return TlsPage(
            rows=[tls_row(tallies[key]) for key in later[:limit]],
            position=later[limit - 1] if len(later) > limit else None,
        )

    # --- changing -----------------------------------------------------------------------------

    async def _apply(
        self, filter: Filter, action: Action, position: bytes, hops: tuple[str, ...]
    ) -> tuple[SpoolError | None, SpoolChanged]:
        over: asyncio.Future[tuple[SpoolError | None, SpoolChanged]]
        over = asyncio.get_running_loop().create_future()

        def done(error: SpoolError | None, changed: SpoolChanged) -> None:
            if not over.cancelled():
                over.set_result((error, changed))

        self._spool.search.apply(filter, action, position, done, hops)
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

    def _tell(self, action: ChangeAction, queue_ids: Sequence[str], hops: Sequence[str] = ()) -> None:
        if self._told is not None:
            for queue_id in queue_ids:
                self._told(queue_id, action, hops)

    # --- looking ------------------------------------------------------------------------------

    def _work(self, looked: int, scan: bool) -> Work:
        return Work(scan=scan, total=self._spool.search.total(), looked=looked)

    def _filter(self, filter: QueueFilter) -> Filter:
        """As the spool takes it."""
        conditions = {name: getattr(filter, name) for name in filter.__struct_fields__}
        if filter.route is not None:
            fits, words = glob(filter.route), self._routes.words
            conditions["route"] = lambda address, hops: any(map(fits, words(address, hops)))
        return Filter(**conditions)
