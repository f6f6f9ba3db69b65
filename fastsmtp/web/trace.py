"""The story of messages, by HTTP: read from the ledger's files."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from fastsmtp.ledger.format import DIRECTORY
from fastsmtp.ledger.line import Line
from fastsmtp.ledger.search import Kind, Ledger, Span
from fastsmtp.ledger.settings import LedgerSettings
from fastsmtp.web.operation import Asked, Operation
from fastsmtp.web.problem import Problem, later

_MOST = 100
_MOST_EVENTS = 2000
"""Events of one message that are told; the first ones."""
_AT_ONCE = 2

Word = Annotated[str, Meta(max_length=1000)]


class TraceQuery(Struct, frozen=True, kw_only=True, rename={"sender": "from"}):
    """Which messages: by one of the first four, or by time alone."""

    id: Annotated[Word, Meta(description="queue id")] = ""
    sender: Annotated[Word, Meta(description="who it is from")] = ""
    to: Annotated[Word, Meta(description="a recipient")] = ""
    message_id: Annotated[Word, Meta(description="Message-ID, without its brackets")] = ""
    since: Annotated[float, Meta(ge=0, description="seconds since 1970 UTC")] = 0.0
    until: Annotated[float | None, Meta(description="seconds since 1970 UTC")] = None
    limit: Annotated[int, Meta(ge=1, le=_MOST, description="messages, at most")] = 20


class Story(Struct, frozen=True, kw_only=True):
    """A message and its events, oldest first, each as in docs/logging.md."""

    id: str
    events: list[dict[str, Any]]


class Stories(Struct, frozen=True, kw_only=True):
    """Messages, the newest first; the oldest first where only a time was asked for. ``more``: there are others.
    ``problems``: what of the ledger could not be read."""

    messages: list[Story]
    more: bool
    problems: list[str]


class TraceApi:
    """Reads the ledger below ``data_dir``."""

    def __init__(self, data_dir: Path, settings: LedgerSettings) -> None:
        self._directory = data_dir / DIRECTORY
        self._enabled = settings.enabled
        self._turn = asyncio.Semaphore(_AT_ONCE)

    def operations(self) -> list[Operation]:
        """What can be asked."""
        return [
            Operation(
                method="GET",
                path="/v1/trace",
                name="trace",
                group="trace",
                summary="Tell what became of messages",
                handler=self._trace,
                query=TraceQuery,
                answer=Stories,
                errors=(409,),
            )
        ]

    async def was_received(self, queue_id: str) -> bool | None:
        """Whether a message of this id was ever received; None: that cannot be told."""
        if not self._enabled:
            return None
        try:
            return await asyncio.to_thread(self._received, queue_id)
        except OSError:
            return None

    async def _trace(self, asked: Asked) -> Stories:
        if not self._enabled:
            raise Problem(409, "ledger.enabled is false: nothing is kept")
        query: TraceQuery = asked.query
        given = [name for name in ("id", "sender", "to", "message_id") if getattr(query, name)]
        if len(given) > 1 or not (given or query.since):
            raise Problem(422, "query: say one of id, from, to and message_id, or since")
        async with self._turn:
            try:
                return await asyncio.to_thread(self._stories, query)
            except OSError as error:
                raise later(f"the ledger cannot be read: {error.strerror}", 30) from None

    # --- in a thread --------------------------------------------------------------------------

    def _stories(self, query: TraceQuery) -> Stories:
        ledger = Ledger(self._directory)
        span = Span(query.since, float("inf") if query.until is None else query.until)
        found = [query.id] if query.id else _ids(self._matches(ledger, query, span), query.limit + 1)
        messages = []
        for queue_id in found[: query.limit]:
            events = [line.fields for line in ledger.find("id", queue_id)][-_MOST_EVENTS:]
            if events:
                messages.append(Story(id=queue_id, events=events[::-1]))
        return Stories(messages=messages, more=len(found) > query.limit, problems=ledger.problems)

    def _matches(self, ledger: Ledger, query: TraceQuery, span: Span) -> Iterable[Line]:
        kinds: dict[str, Kind] = {"sender": "from", "to": "to", "message_id": "message_id"}
        for name, kind in kinds.items():
            value = getattr(query, name)
            if value:
                return ledger.find(kind, value, span)
        return (line for line in ledger.scan(span) if line.kind == "received")

    def _received(self, queue_id: str) -> bool:
        return any(
            line.kind == "received" and line.text("id") == queue_id
            for line in Ledger(self._directory).find("id", queue_id)
        )


def _ids(lines: Iterable[Line], most: int) -> list[str]:
    """The messages that ``lines`` are about, in their order."""
    found: dict[str, None] = {}
    for line in lines:
        queue_id = line.text("id")
        if queue_id:
            found[queue_id] = None
            if len(found) >= most:
                break
    return list(found)
