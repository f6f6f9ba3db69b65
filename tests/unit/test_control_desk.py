"""A shard's queue as it is asked for: what stands in a real spool, shown and changed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from fastsmtp.clock import SystemClock
from fastsmtp.control.desk import SpoolDesk
from fastsmtp.control.queue import MOST_HEAD, Change, NotPossible, QueueFilter, QueueRow
from fastsmtp.control.rows import MOST_RECIPIENTS
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.queue.plan.site import SiteState
from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.lmdb import LmdbSpool
from fastsmtp.spool.relay import Defer, Finish
from fastsmtp.spool.waiting import RcptState, Try, Waiting
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.transport.smtp.tls_report import Failure as TlsFailure
from fastsmtp.transport.smtp.tls_report import Tally
from tests.fakes.post_office import SMALL
from tests.fakes.queue_desk import FakeRoutes

LATER = 5e9
AHEAD = 1000.0
"""Seconds by which the engine's queue time is behind the clock."""


class FakeEngine:
    """Remembers what it was asked for."""

    def __init__(self, desk: "Desk") -> None:
        self.hurried: list[str] = []
        self._desk = desk
        self.names = [f"site{i}" for i in range(5)]
        self.opens: float | None = None

    def sites(self) -> list[SiteState]:
        """See `Engine.sites`."""
        return [
            SiteState(
                name=name,
                health="failing",
                window=1,
                in_flight=0,
                waiting=3,
                next_at=50.0,
                reason="r",
                since=20.0,
                attempts=2,
                seconds=0.5,
            )
            for name in reversed(self.names)
        ]

    def tls(self) -> list[Tally]:
        """See `Engine.tls`."""
        failures = ((TlsFailure("certificate-expired", "mx.b.test"), 1), (TlsFailure("dane-required", ""), 5))
        return [Tally("b.test", "tlsa", 7, failures), Tally("a.test", "sts", 2, ())]

    def wall_time(self, at: float) -> float:
        """See `Engine.wall_time`."""
        return at + AHEAD

    def site_of(self, envelope: Envelope, number: int, hops: Sequence[str]) -> SiteState | None:
        """See `Times.site_of`: one that opens at `opens`."""
        if self.opens is None:
            return None
        return msgspec.structs.replace(
            self.sites()[0], name=envelope.recipients[number].address, next_at=self.opens
        )

    async def hurry(self, queue_ids: Sequence[str]) -> None:
        """See `Engine.hurry`."""
        self.hurried += queue_ids

    async def give_up(self, queue_ids: Sequence[str]) -> list[str]:
        """See `Engine.give_up`: all but the first."""
        await self._desk.settle(*(Finish(one) for one in queue_ids[1:]))
        return list(queue_ids[1:])


class Desk:
    """A spool in a directory, with a desk on it."""

    def __init__(self, path: Path, *, engine: bool = False) -> None:
        self.clock = SystemClock()
        self.spool = LmdbSpool(
            path,
            slot=0,
            settings=SMALL,
            durability="none",
            post=asyncio.get_running_loop().call_soon_threadsafe,
            log=MailLog(self.clock, slot=0),
            clock=self.clock,
        )
        self.engine = FakeEngine(self) if engine else None
        self.events: list[str] = []
        self.desk = SpoolDesk(self.spool, self.clock, FakeRoutes(), self.engine, self.told)

    def told(self, queue_id: str, action: str, hops: Sequence[str]) -> None:
        """Keeps what was done."""
        self.events.append(" ".join([action, queue_id, *hops]))

    async def submit(
        self,
        *recipients: Recipient,
        body: bytes = b"Subject: s\r\n\r\ntext\r\n",
        large: bool = False,
        params: dict[str, str] | None = None,
    ) -> str:
        """A message that is accepted; its id."""
        queue_id = self.spool.new_id()
        envelope = Envelope(
            queue_id,
            "alice@here.test",
            list(recipients),
            "192.0.2.1",
            "client.test",
            "ESMTP",
            self.clock.now(),
            params or {"RET": "FULL"},
        )
        stored: asyncio.Future[SpoolError | None] = asyncio.get_running_loop().create_future()
        content: object = body
        if large:
            content = self.spool.open_body(queue_id, b"")
            content.write(body)
        self.spool.submit(envelope, b"", content, stored.set_result)  # type: ignore[arg-type]
        assert await stored is None
        return queue_id

    async def settle(self, *changes: Defer | Finish) -> None:
        """Settle, and wait for it."""
        done: asyncio.Future[SpoolError | None] = asyncio.get_running_loop().create_future()
        self.spool.relay.settle(changes, done.set_result)
        assert await done is None

    async def rows(self, filter: QueueFilter = QueueFilter()) -> list[QueueRow]:  # noqa: B008
        """All rows, in pages of two."""
        rows: list[QueueRow] = []
        position: bytes | None = b""
        while position is not None:
            page = await self.desk.find(filter, position, 2)
            assert len(page.rows) <= 2
            rows += page.rows
            position = page.position
        return rows

    async def change(
        self,
        action: str,
        filter: QueueFilter = QueueFilter(),  # noqa: B008
        *hops: str,
    ) -> tuple[int, int]:
        """Changed and skipped, over all pieces."""
        changed = skipped = 0
        position: bytes | None = b""
        while position is not None:
            wanted = Change(filter=filter, action=action, hops=hops)  # type: ignore[arg-type]
            part = await self.desk.change(wanted, position)
            changed += part.messages
            skipped += part.skipped
            position = part.position
        return changed, skipped


@asynccontextmanager
async def opened(path: Path, *, engine: bool = False) -> AsyncIterator[Desk]:
    """One that is open."""
    made = Desk(path, engine=engine)
    made.spool.start()
    try:
        yield made
    finally:
        made.spool.stop()


def far(number: int) -> Recipient:
    """Somebody elsewhere."""
    return Recipient(f"u{number}@far.test", "")


def waits(number: int = 0, *, due: float = 0.0) -> RcptState:
    """Was tried once."""
    return RcptState(number, due, (Try(100.0, 451, "4.2.1", "not now", "mx.far.test[192.0.2.9]:25"),))


def test_rows_of_what_is_fresh_deferred_and_held(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as one:
            fresh = await one.submit(far(0), far(1))
            deferred = await one.submit(*(far(i) for i in range(9)))
            held = await one.submit(far(0))
            await one.settle(
                Defer(
                    deferred,
                    Waiting(1.0, False, False, [waits(i, due=LATER if i == 2 else 0.0) for i in range(2, 9)]),
                ),
                Defer(held, Waiting(1.0, False, True, [waits(due=LATER)])),
            )
            rows = {row.id: row for row in await one.rows()}
            assert sorted(rows) == sorted([fresh, deferred, held])
            assert (rows[fresh].state, rows[fresh].waiting, rows[fresh].size) == ("fresh", 2, 20)
            assert [each.status for each in rows[fresh].recipients] == ["waiting", "waiting"]
            assert (rows[deferred].state, rows[deferred].waiting) == ("deferred", 7)
            those = rows[deferred].recipients
            assert [each.address for each in those] == [
                f"u{i}@far.test" for i in range(2, 2 + MOST_RECIPIENTS)
            ]
            first = those[0]
            assert (first.code, first.reply, first.remote) == (451, "not now", "mx.far.test[192.0.2.9]:25")
            assert (first.last_at, first.next_at, first.attempts) == (100.0, LATER, 1)
            assert (those[1].next_at, those[1].why) == (None, "when its site takes mail again")
            assert (rows[held].state, rows[held].recipients[0].next_at) == ("held", None)
            assert rows[held].recipients[0].why == "held, until it is released"
            assert [row.id for row in await one.rows(QueueFilter(code="451", state="held"))] == [held]
            assert [row.id for row in await one.rows(QueueFilter(state="fresh"))] == [fresh]
            counted = await one.desk.count(QueueFilter(text="NOT now"), b"")
            assert (counted.messages, counted.work.scan) == (2, True)

    asyncio.run(main())


@pytest.mark.parametrize("large", [False, True])
def test_show(tmp_path: Path, large: bool) -> None:
    async def main() -> None:
        async with opened(tmp_path) as one:
            body = b"A: b\r\nC: d\r\n\r\n" + b"x" * (100_000 if large else 10)
            queue_id = await one.submit(
                Recipient("a@b.test", "", {"NOTIFY": "NEVER"}, None, "list@here.test"), body=body, large=large
            )
            shown = await one.desk.show(queue_id)
            assert shown is not None
            assert (shown.state, shown.head, shown.size) == ("fresh", b"A: b\r\nC: d\r\n", len(body))
            assert (shown.sender, shown.params, shown.client_ip) == (
                "alice@here.test",
                {"RET": "FULL"},
                "192.0.2.1",
            )
            recipient = shown.recipients[0]
            assert (recipient.original, recipient.params) == ("list@here.test", {"NOTIFY": "NEVER"})
            assert recipient.why == "on its first attempt, or before it"
            for nobody in ("0" * 13, "", "x" * 64, "é" * 13):
                assert await one.desk.show(nobody) is None

    asyncio.run(main())


def test_a_header_without_an_end_is_bounded(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as one:
            queue_id = await one.submit(far(0), body=b"A: " + b"x" * 200_000, large=True)
            shown = await one.desk.show(queue_id)
            assert shown is not None
            assert len(shown.head) == MOST_HEAD

    asyncio.run(main())


def test_changes(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as one:
            ids = [await one.submit(far(i)) for i in range(6)]
            await one.settle(*(Defer(each, Waiting(1.0, False, False, [waits()])) for each in ids))
            chosen = QueueFilter(recipient="u1@far.test")
            assert await one.change("hold", chosen) == (1, 0)
            assert one.events == [f"hold {ids[1]}"]
            assert await one.change("hold") == (5, 1)
            assert {row.state for row in await one.rows()} == {"held"}
            assert await one.change("release") == (6, 0)
            assert await one.change("retry", chosen) == (1, 0)
            row = (await one.rows(chosen))[0]
            assert row.recipients[0].next_at is not None
            assert await one.change("remove", QueueFilter(ids=tuple(ids[:2]))) == (2, 0)
            assert sorted(row.id for row in await one.rows()) == sorted(ids[2:])
            assert one.events[-2:] == [f"remove {ids[0]}", f"remove {ids[1]}"]

    asyncio.run(main())


def test_other_hops_and_back_to_the_routes(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path, engine=True) as one:
            fresh, deferred = [await one.submit(far(i)) for i in range(2)]
            await one.settle(Defer(deferred, Waiting(1.0, False, False, [waits(due=LATER)])))
            assert await one.change("reroute", QueueFilter(), "b.test:25", "mx") == (2, 0)
            assert sorted(one.events) == sorted(f"reroute {each} b.test:25 mx" for each in (fresh, deferred))
            assert one.engine is not None
            assert sorted(one.engine.hurried) == sorted([fresh, deferred])
            assert [row.hops for row in await one.rows()] == [["b.test:25", "mx"]] * 2
            shown = await one.desk.show(deferred)
            assert shown is not None
            assert (shown.hops, shown.recipients[0].route) == (["b.test:25", "mx"], "b.test:25, then mx")
            assert await one.change("reroute", QueueFilter(ids=(fresh,))) == (1, 0)
            assert await one.change("reroute") == (1, 1)
            assert [row.hops for row in await one.rows()] == [[], []]
            with pytest.raises(NotPossible, match="reroute: to: nowhere is no host"):
                await one.change("reroute", QueueFilter(), "nowhere")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("due", "opens", "next_at", "why"),
    [
        (0.0, None, None, "when its site takes mail again"),
        (0.0, LATER, LATER + AHEAD, "when its site takes mail again"),
        (LATER, None, LATER + AHEAD, ""),
        (LATER, LATER - 1, LATER + AHEAD, ""),
        (LATER, LATER + 1, LATER + 1 + AHEAD, "when its site takes mail again"),
    ],
)
def test_when_and_why_it_is_tried_next(
    tmp_path: Path, due: float, opens: float | None, next_at: float | None, why: str
) -> None:
    async def main() -> None:
        async with opened(tmp_path, engine=True) as one:
            assert one.engine is not None
            queue_id = await one.submit(far(0))
            await one.settle(Defer(queue_id, Waiting(1.0, False, False, [waits(due=due)])))
            one.engine.opens = opens
            shown = await one.desk.show(queue_id)
            assert shown is not None
            recipient = shown.recipients[0]
            assert (recipient.next_at, recipient.why) == (next_at, why)
            assert recipient.site == ("" if opens is None else "u0@far.test, failing: r")

    asyncio.run(main())


@pytest.mark.parametrize("params", [{"HOLDFOR": "60"}, {"HOLDUNTIL": "2128-06-11T09:10:00Z"}])
def test_what_its_sender_has_held_is_told(tmp_path: Path, params: dict[str, str]) -> None:
    async def main() -> None:
        async with opened(tmp_path, engine=True) as one:
            queue_id = await one.submit(far(0), params=params)
            await one.settle(Defer(queue_id, Waiting(LATER, False, False, [RcptState(0, LATER)])))
            [row] = await one.rows()
            assert row.recipients[0].why == "held by its sender until 2128-06-11T09:10:00Z"
            assert row.recipients[0].next_at == LATER + AHEAD
            await one.settle(Defer(queue_id, Waiting(1.0, False, False, [waits(due=LATER)])))
            [row] = await one.rows()
            assert row.recipients[0].why == "", "it was tried since"

    asyncio.run(main())


def test_mail_is_found_by_its_route(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as one:
            first = await one.submit(Recipient("a@near.test", ""), far(0))
            second = await one.submit(far(1))
            assert len(await one.rows(QueueFilter(route="far.test"))) == 2
            assert [row.id for row in await one.rows(QueueFilter(route="NEAR.test:*"))] == [first]
            assert await one.rows(QueueFilter(route="near.test", recipient="u*")) == []
            assert (await one.desk.count(QueueFilter(route="far*"), b"")).work.scan
            assert await one.change("reroute", QueueFilter(ids=(second,)), "b.test:25") == (1, 0)
            assert [row.id for row in await one.rows(QueueFilter(route="b.test:25"))] == [second]
            assert await one.change("hold", QueueFilter(route="far.test")) == (1, 0)

    asyncio.run(main())


def test_all_attempts_are_shown(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path, engine=True) as one:
            queue_id = await one.submit(far(0))
            tries = (Try(50.0, 0, "4.4.1", "refused"), waits().last)
            state = RcptState(0, LATER, tries, 7)
            await one.settle(Defer(queue_id, Waiting(1.0, False, False, [state])))
            shown = await one.desk.show(queue_id)
            assert shown is not None
            recipient = shown.recipients[0]
            assert (recipient.attempts, recipient.left_out, recipient.reply) == (9, 7, "not now")
            assert [(each.at, each.reply, each.remote) for each in recipient.tries] == [
                (50.0 + AHEAD, "refused", ""),
                (100.0 + AHEAD, "not now", "mx.far.test[192.0.2.9]:25"),
            ]
            assert (await one.rows())[0].recipients[0].tries == []

    asyncio.run(main())


def test_what_takes_a_running_server(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as one:
            await one.submit(far(0))
            with pytest.raises(NotPossible, match="running server"):
                await one.desk.change(Change(filter=QueueFilter(), action="bounce"), b"")
            with pytest.raises(NotPossible, match="running server"):
                await one.desk.sites("", 10)
            with pytest.raises(NotPossible, match="running server"):
                await one.desk.tls("", 10)

    asyncio.run(main())


def test_with_an_engine(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path, engine=True) as one:
            engine = one.engine
            assert engine is not None
            ids = [await one.submit(far(i)) for i in range(3)]
            await one.settle(*(Defer(each, Waiting(1.0, False, False, [waits(due=LATER)])) for each in ids))
            assert (await one.rows())[0].recipients[0].next_at == LATER + AHEAD
            assert await one.change("retry") == (3, 0)
            assert sorted(engine.hurried) == sorted(ids)
            assert await one.change("bounce") == (2, 1)
            assert len(await one.rows()) == 1
            page = await one.desk.sites("", 3)
            assert [row.name for row in page.rows] == ["site0", "site1", "site2"]
            assert (page.rows[0].next_at, page.rows[0].since) == (50.0 + AHEAD, 20.0 + AHEAD)
            assert page.position == "site2"
            page = await one.desk.sites("site2", 3)
            assert ([row.name for row in page.rows], page.position) == (["site3", "site4"], None)
            first = await one.desk.tls("", 1)
            assert ([row.domain for row in first.rows], first.position) == (["a.test"], "a.test sts")
            rest = await one.desk.tls("a.test sts", 1)
            assert [(row.domain, row.policy, row.successes) for row in rest.rows] == [("b.test", "tlsa", 7)]
            assert [(each.result, each.sessions) for each in rest.rows[0].failures] == [
                ("dane-required", 5),
                ("certificate-expired", 1),
            ]
            assert rest.position is None

    asyncio.run(main())


def test_a_spool_that_is_closed_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as one:
            await one.submit(far(0))
            one.spool._running = False
            with pytest.raises(NotPossible, match="hold: "):
                await one.desk.change(Change(filter=QueueFilter(), action="hold"), b"")
            one.spool._running = True

    asyncio.run(main())
