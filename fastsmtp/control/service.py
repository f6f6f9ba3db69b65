"""The queue's requests of a control socket, answered by the desks of the shards that a worker has open.

Verbs: ``queue.shards``, ``queue.find``, ``queue.count``, ``queue.show``, ``queue.change``, ``queue.sites``,
``queue.tls``.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

from msgspec import Meta, Struct

from fastsmtp.control.queue import (
    Change,
    Changed,
    Counted,
    NotPossible,
    QueueDesk,
    QueueFilter,
    QueuePage,
    Shown,
    SitePage,
    TlsPage,
)
from fastsmtp.control.server import ControlServer, Refused

MOST_ROWS = 500
"""Rows of a page."""

Position = Annotated[bytes, Meta(max_length=2000)]
Limit = Annotated[int, Meta(ge=1, le=MOST_ROWS)]


class Find(Struct, array_like=True):
    """Of ``queue.find``: see `QueueDesk.find`."""

    shard: int
    filter: QueueFilter
    position: Position
    limit: Limit


class Count(Struct, array_like=True):
    """Of ``queue.count``."""

    shard: int
    filter: QueueFilter
    position: Position


class Show(Struct, array_like=True):
    """Of ``queue.show``."""

    shard: int
    id: Annotated[str, Meta(max_length=64)]


class Do(Struct, array_like=True):
    """Of ``queue.change``."""

    shard: int
    change: Change
    position: Position


class Sites(Struct, array_like=True):
    """Of ``queue.sites`` and ``queue.tls``."""

    shard: int
    position: Annotated[str, Meta(max_length=2000)]
    limit: Limit


class QueueService:
    """Answers for the desks that ``desks`` gives at the time, by the number of their shards."""

    def __init__(self, desks: Callable[[], Mapping[int, QueueDesk]]) -> None:
        self._desks = desks

    def register(self, server: ControlServer) -> None:
        """Let ``server`` answer the queue's verbs."""
        server.register("queue.shards", type(None), self.shards)
        server.register("queue.find", Find, self.find)
        server.register("queue.count", Count, self.count)
        server.register("queue.show", Show, self.show)
        server.register("queue.change", Do, self.change)
        server.register("queue.sites", Sites, self.sites)
        server.register("queue.tls", Sites, self.tls)

    async def shards(self, argument: None) -> list[int]:
        """The shards that are open here."""
        return sorted(self._desks())

    async def find(self, asked: Find) -> QueuePage:
        """See `QueueDesk.find`."""
        with _possible():
            return await self._desk(asked.shard).find(asked.filter, asked.position, asked.limit)

    async def count(self, asked: Count) -> Counted:
        """See `QueueDesk.count`."""
        with _possible():
            return await self._desk(asked.shard).count(asked.filter, asked.position)

    async def show(self, asked: Show) -> Shown | None:
        """See `QueueDesk.show`."""
        with _possible():
            return await self._desk(asked.shard).show(asked.id)

    async def change(self, asked: Do) -> Changed:
        """See `QueueDesk.change`."""
        with _possible():
            return await self._desk(asked.shard).change(asked.change, asked.position)

    async def sites(self, asked: Sites) -> SitePage:
        """See `QueueDesk.sites`."""
        with _possible():
            return await self._desk(asked.shard).sites(asked.position, asked.limit)

    async def tls(self, asked: Sites) -> TlsPage:
        """See `QueueDesk.tls`."""
        with _possible():
            return await self._desk(asked.shard).tls(asked.position, asked.limit)

    def _desk(self, shard: int) -> QueueDesk:
        desk = self._desks().get(shard)
        if desk is None:
            raise Refused("gone", f"shard {shard} is not open here any more; ask again")
        return desk


@contextmanager
def _possible() -> Iterator[None]:
    """What a desk cannot do is told to whoever asked."""
    try:
        yield
    except NotPossible as error:
        raise Refused("impossible", str(error)) from None
