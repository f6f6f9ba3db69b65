"""The queue of mail for other hosts, by HTTP."""

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import asdict, replace

from fastsmtp.control import together
from fastsmtp.control.queue import (
    MOST_HOPS,
    Action,
    Change,
    QueueFilter,
    QueueRow,
    SiteRow,
    State,
    Text,
)
from fastsmtp.control.together import Tally
from fastsmtp.web.hub import HubApi
from fastsmtp.web.operation import Asked, Operation
from fastsmtp.web.problem import Problem

_MOST = 1000
_HOW = (
    "Conditions must all be true; a recipient's by one and the same of its unfinished recipients. See "
    "docs/control.md."
)


class QueueQuery(Struct, frozen=True, kw_only=True):
    """Which messages, and how many at most."""

    recipient: Annotated[Text | None, Meta(description="a glob, such as `*@far.test`")] = None
    domain: Annotated[Text | None, Meta(description="of a recipient, or `*.far.test` for all below it")] = (
        None
    )
    sender: Annotated[Text | None, Meta(description="a glob; empty: the null sender")] = None
    older: Annotated[float | None, Meta(description="age in seconds, at least")] = None
    younger: Annotated[float | None, Meta(description="age in seconds, at most")] = None
    state: State | None = None
    code: Annotated[str, Meta(pattern="^[0-9]{1,3}$")] | None = None
    text: Annotated[Text | None, Meta(description="stands somewhere in the last reply")] = None
    remote: Annotated[Text | None, Meta(description="a glob of the host that was spoken to last")] = None
    route: Annotated[Text | None, Meta(description="a glob of where it would go now")] = None
    limit: Annotated[int, Meta(ge=1, le=_MOST)] = 100


class QueueList(Struct, frozen=True, kw_only=True):
    """Messages, oldest first; ``more``: there are others. ``complete``: all of the queue could be asked."""

    messages: list[QueueRow]
    more: bool
    complete: bool


class MessageShown(QueueRow, frozen=True, kw_only=True):
    """All that is known of one message; ``head`` is the beginning of its header, what is not UTF-8 replaced."""

    params: dict[str, str]
    client_ip: str
    helo: str
    protocol: str
    head: str
    shard: int


class Counted(Struct, frozen=True, kw_only=True):
    """How many there are. ``complete``: all of the queue could be asked."""

    messages: int
    complete: bool


class QueueAction(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be done, and to which messages: a ``filter`` that says nothing needs ``everything``. ``hops`` are
    those of ``reroute``; none: by the routes again. With ``dry_run`` they are only counted."""

    action: Action
    filter: QueueFilter = QueueFilter()
    hops: Annotated[tuple[Annotated[str, Meta(max_length=300)], ...], Meta(max_length=MOST_HOPS)] = ()
    everything: bool = False
    dry_run: bool = False


class ActionDone(Struct, frozen=True, kw_only=True):
    """``matched`` messages were meant; ``changed`` durably, ``skipped``: it means nothing for these."""

    action: Action
    dry_run: bool
    matched: int
    changed: int
    skipped: int
    complete: bool


class ShownSite(SiteRow, frozen=True, kw_only=True):
    """A site, and the shard whose it is."""

    shard: int


class SiteList(Struct, frozen=True, kw_only=True):
    """Sites by name."""

    sites: list[ShownSite]
    complete: bool


class QueueApi(HubApi):
    """Answers by all workers."""

    def operations(self) -> list[Operation]:
        """What can be asked."""
        return [
            Operation(
                method="GET",
                path="/v1/queue",
                name="listQueue",
                group="queue",
                summary="List messages that wait, oldest first",
                about=_HOW,
                handler=self._list,
                query=QueueQuery,
                answer=QueueList,
                errors=(409,),
            ),
            Operation(
                method="GET",
                path="/v1/queue/count",
                name="countQueue",
                group="queue",
                summary="Count messages that wait",
                about=_HOW,
                handler=self._count,
                query=QueueQuery,
                answer=Counted,
                errors=(409,),
            ),
            Operation(
                method="POST",
                path="/v1/queue/actions",
                name="changeQueue",
                group="queue",
                summary="Retry, hold, release, reroute, remove or bounce messages",
                about="It is done in pieces, each durable before the next, and goes on when the client has gone.",
                handler=self._change,
                body=QueueAction,
                answer=ActionDone,
                errors=(409,),
            ),
            Operation(
                method="GET",
                path="/v1/queue/{id}",
                name="showMessage",
                group="queue",
                summary="Show one message, with every attempt",
                handler=self._show,
                answer=MessageShown,
                errors=(404, 409),
            ),
            Operation(
                method="GET",
                path="/v1/sites",
                name="listSites",
                group="queue",
                summary="List the sites that mail goes to or waits for",
                handler=self._sites,
                answer=SiteList,
                errors=(409,),
            ),
        ]

    async def _list(self, asked: Asked) -> QueueList:
        limit = asked.query.limit
        async with self._hub.queue() as (desks, complete):
            rows = [row async for row in together.find(desks, _filter(asked.query), limit + 1, _unheard)]
        return QueueList(messages=rows[:limit], more=len(rows) > limit, complete=complete)

    async def _count(self, asked: Asked) -> Counted:
        async with self._hub.queue() as (desks, complete):
            tally = await together.count(desks, _filter(asked.query), _unheard)
        return Counted(messages=tally.messages, complete=complete)

    async def _show(self, asked: Asked) -> MessageShown:
        queue_id = asked.path["id"]
        async with self._hub.queue() as (desks, complete):
            found = await together.show(desks, queue_id) if len(queue_id) <= 64 else None
        if found is None:
            rest = "" if complete else "; a part of the queue could not be asked"
            raise Problem(404, f"no message of this id waits; /v1/trace tells what became of it{rest}")
        shard, shown = found
        head = shown.head.decode("utf-8", "replace")
        return MessageShown(**(asdict(shown) | {"head": head}), shard=shard)

    async def _change(self, asked: Asked) -> ActionDone:
        body: QueueAction = asked.body
        if (body.filter != QueueFilter()) == body.everything:
            raise Problem(422, "body: say which messages, by filter or by everything, and not by both")
        if body.hops and body.action != "reroute":
            raise Problem(422, "body: hops are for reroute")
        async with self._hub.queue() as (desks, complete):
            matched = (await together.count(desks, body.filter, _unheard)).messages
            done = Tally()
            if matched and not body.dry_run:
                change = Change(filter=body.filter, action=body.action, hops=body.hops)
                done = await together.change(desks, change, _unheard)
        return ActionDone(
            action=body.action,
            dry_run=body.dry_run,
            matched=matched,
            changed=done.messages,
            skipped=done.skipped,
            complete=complete,
        )

    async def _sites(self, asked: Asked) -> SiteList:
        async with self._hub.queue() as (desks, complete):
            rows = [ShownSite(**asdict(row), shard=shard) async for shard, row in together.sites(desks)]
        return SiteList(sites=rows, complete=complete)


def _filter(query: QueueQuery) -> QueueFilter:
    given = asdict(query)
    del given["limit"]
    return replace(QueueFilter(), **given)


def _unheard(tally: Tally) -> None:
    """Nobody watches how far it has come."""
