"""Several shards as one queue: lists in one order, counts and changes over all of them."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from heapq import merge

from msgspec import Struct

from fastsmtp.control.queue import (
    Change,
    QueueDesk,
    QueueFilter,
    QueueRow,
    Shown,
    SiteRow,
    TlsFailure,
    TlsRow,
    Work,
)

PAGE = 100
"""Rows that are asked for at once."""


class Tally(Struct, kw_only=True):
    """How far a count or a change has come: ``messages`` counted or changed, ``skipped`` as in `Changed`, ``looked``
    of about ``total`` messages looked at, and whether that is a ``scan``."""

    messages: int = 0
    skipped: int = 0
    looked: int = 0
    total: int = 0
    scan: bool = False


Told = Callable[[Tally], object]


class Sums:
    """Adds up what the desks tell of their work, and tells it on."""

    def __init__(self, told: Told) -> None:
        self.tally = Tally()
        self._told = told
        self._totals: dict[int, int] = {}

    def add(self, shard: int, work: Work, messages: int, skipped: int = 0) -> None:
        """One call on the desk of ``shard`` has returned."""
        tally = self.tally
        self._totals[shard] = work.total
        tally.total = sum(self._totals.values())
        tally.scan = tally.scan or work.scan
        tally.looked += work.looked
        tally.messages += messages
        tally.skipped += skipped
        self._told(tally)


class _Feed:
    """The rows of one desk, in pages."""

    def __init__(self, shard: int, desk: QueueDesk) -> None:
        self.rows: deque[QueueRow] = deque()
        self.position: bytes | None = b""
        self.shard = shard
        self._desk = desk

    async def fill(self, filter: QueueFilter, limit: int, sums: Sums) -> None:
        """Have a row, unless there is none any more."""
        while not self.rows and self.position is not None:
            page = await self._desk.find(filter, self.position, limit)
            self.rows.extend(page.rows)
            self.position = page.position
            sums.add(self.shard, page.work, len(page.rows))


async def find(
    desks: Mapping[int, QueueDesk], filter: QueueFilter, limit: int | None, told: Told
) -> AsyncIterator[QueueRow]:
    """The messages of all desks in the order of their ids, ``limit`` of them; None: all. Where desks give them in
    another order, what fits into one page of each is in order, and what does not is mixed."""
    page = PAGE if limit is None else min(PAGE, limit)
    sums = Sums(told)
    feeds = [_Feed(shard, desk) for shard, desk in desks.items()]
    await asyncio.gather(*(feed.fill(filter, page, sums) for feed in feeds))
    if all(feed.position is None for feed in feeds):
        for feed in feeds:
            feed.rows = deque(sorted(feed.rows, key=_id))
        for number, row in enumerate(merge(*(feed.rows for feed in feeds), key=_id)):
            if limit is not None and number >= limit:
                return
            yield row
        return
    given = 0
    while limit is None or given < limit:
        await asyncio.gather(*(feed.fill(filter, page, sums) for feed in feeds if not feed.rows))
        ready = [feed for feed in feeds if feed.rows]
        if not ready:
            return
        yield min(ready, key=lambda feed: feed.rows[0].id).rows.popleft()
        given += 1


async def count(desks: Mapping[int, QueueDesk], filter: QueueFilter, told: Told) -> Tally:
    """How many messages of all desks there are."""
    sums = Sums(told)

    async def one(shard: int, desk: QueueDesk) -> None:
        position: bytes | None = b""
        while position is not None:
            counted = await desk.count(filter, position)
            position = counted.position
            sums.add(shard, counted.work, counted.messages)

    tasks = [asyncio.create_task(one(shard, desk)) for shard, desk in desks.items()]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    return sums.tally


async def change(desks: Mapping[int, QueueDesk], wanted: Change, told: Told) -> Tally:
    """Do it to the messages of all desks. When it ends in the middle, by a cancellation too, the pieces under way
    come to their ends first: what ``told`` was told last is what is done."""
    sums = Sums(told)
    stopped = False

    async def one(shard: int, desk: QueueDesk) -> None:
        nonlocal stopped
        position: bytes | None = b""
        while position is not None and not stopped:
            try:
                changed = await desk.change(wanted, position)
            except BaseException:
                stopped = True
                raise
            position = changed.position
            sums.add(shard, changed.work, changed.messages, changed.skipped)

    tasks = [asyncio.create_task(one(shard, desk)) for shard, desk in desks.items()]
    try:
        if tasks:
            await asyncio.wait(tasks)
    except asyncio.CancelledError:
        stopped = True
        await asyncio.wait(tasks)
        raise
    for task in tasks:
        task.result()
    return sums.tally


async def show(desks: Mapping[int, QueueDesk], queue_id: str) -> tuple[int, Shown] | None:
    """The message of that id and the number of its shard."""
    answers = await asyncio.gather(*(desk.show(queue_id) for desk in desks.values()))
    for shard, answer in zip(desks, answers, strict=True):
        if answer is not None:
            return shard, answer
    return None


async def sites(desks: Mapping[int, QueueDesk]) -> AsyncIterator[tuple[int, SiteRow]]:
    """All sites of all desks, each with the number of its shard, in the order of their names."""

    async def of(shard: int, desk: QueueDesk) -> list[tuple[str, int, SiteRow]]:
        rows: list[tuple[str, int, SiteRow]] = []
        position: str | None = ""
        while position is not None:
            page = await desk.sites(position, PAGE)
            rows += [(row.name, shard, row) for row in page.rows]
            position = page.position
        return rows

    for _, shard, row in merge(
        *await asyncio.gather(*(of(shard, desk) for shard, desk in desks.items())),
        key=lambda entry: entry[:2],
    ):
        yield shard, row


async def tls(desks: Mapping[int, QueueDesk]) -> list[TlsRow]:
    """How TLS went with each domain and policy, over all desks, in the order of their names."""
    successes: Counter[tuple[str, str]] = Counter()
    failures: defaultdict[tuple[str, str], Counter[tuple[str, str]]] = defaultdict(Counter)
    for desk in desks.values():
        position: str | None = ""
        while position is not None:
            page = await desk.tls(position, PAGE)
            position = page.position
            for row in page.rows:
                key = row.domain, row.policy
                successes[key] += row.successes
                for one in row.failures:
                    failures[key][one.result, one.host] += one.sessions
    return [
        TlsRow(
            domain=key[0],
            policy=key[1],
            successes=successes[key],
            failures=[
                TlsFailure(result=result, host=host, sessions=sessions)
                for (result, host), sessions in failures[key].most_common()
            ],
        )
        for key in sorted(successes)
    ]


def _id(row: QueueRow) -> str:
    return row.id
