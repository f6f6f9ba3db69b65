"""Several shards as one queue: the same as one list of all their messages."""

import asyncio

import pytest

from fastsmtp.control.queue import Change, NotPossible, QueueFilter, QueueRow, SiteRow, TlsFailure, TlsRow
from fastsmtp.control.together import PAGE, Tally, change, count, find, show, sites, tls
from tests.fakes.queue_desk import FakeDesk, matches, row

ROWS = [row(i, shard=i % 3, address=f"u{i}@{'far' if i % 2 else 'near'}.test") for i in range(100)]


def desks(*, piece: int = 10) -> dict[int, FakeDesk]:
    """Three shards with `ROWS` among them."""
    return {
        shard: FakeDesk([one for one in ROWS if one.id.endswith(str(shard))], piece=piece)
        for shard in range(3)
    }


def found(filter: QueueFilter, limit: int | None, *, piece: int = 10) -> list[QueueRow]:
    """What `find` gives."""

    async def main() -> list[QueueRow]:
        return [one async for one in find(desks(piece=piece), filter, limit, lambda tally: None)]

    return asyncio.run(main())


@pytest.mark.parametrize("piece", [1, 7, 1000])
@pytest.mark.parametrize(
    "filter",
    [QueueFilter(), QueueFilter(domain="far.test"), QueueFilter(recipient="u4?@*"), QueueFilter(code="5")],
)
def test_find_gives_what_one_list_would(filter: QueueFilter, piece: int) -> None:
    wanted = [one for one in sorted(ROWS, key=lambda one: one.id) if matches(filter, one)]
    assert found(filter, None, piece=piece) == wanted
    for limit in (1, 3, 50):
        assert found(filter, limit, piece=piece) == wanted[:limit]


def test_a_limit_asks_for_no_more() -> None:
    async def main() -> None:
        three = desks(piece=1000)
        assert len([one async for one in find(three, QueueFilter(), 5, lambda tally: None)]) == 5
        assert all(desk.asked == ["find"] for desk in three.values())
        assert PAGE >= 5

    asyncio.run(main())


def test_count_and_change_go_through_all_pieces() -> None:
    filter = QueueFilter(domain="far.test")
    told: list[tuple[int, int]] = []

    async def main() -> None:
        three = desks()
        assert await count(three, filter, lambda tally: None) == Tally(messages=50, looked=100, total=100)
        tally = await change(
            three,
            Change(filter=filter, action="hold"),
            lambda tally: told.append((tally.messages, tally.looked)),
        )
        assert (tally.messages, tally.skipped, tally.scan) == (50, 0, False)
        assert told[-1] == (50, 100)
        assert told == sorted(told)
        assert (await count(three, QueueFilter(state="held"), lambda tally: None)).messages == 50
        again = await change(three, Change(filter=filter, action="hold"), lambda tally: None)
        assert (again.messages, again.skipped) == (0, 50)

    asyncio.run(main())


def test_what_one_desk_cannot_do_is_told_as_it_is() -> None:
    three = desks()
    three[1].impossible = "no server runs"
    with pytest.raises(NotPossible, match="no server runs"):
        asyncio.run(change(three, Change(filter=QueueFilter(), action="retry"), lambda tally: None))


def test_show_asks_all() -> None:
    async def main() -> None:
        three = desks()
        answer = await show(three, ROWS[5].id)
        assert answer is not None
        assert (answer[0], answer[1].id) == (2, ROWS[5].id)
        assert await show(three, "0" * 13) is None

    asyncio.run(main())


def test_sites_of_all_in_order_of_their_names() -> None:
    def site(name: str) -> SiteRow:
        return SiteRow(
            name=name,
            health="working",
            window=1,
            in_flight=0,
            waiting=1,
            next_at=None,
            reason="",
            since=0,
            attempts=0,
        )

    async def main() -> None:
        two = {
            0: FakeDesk([], sites=[site(f"s{i:03d}") for i in range(0, 250, 2)]),
            1: FakeDesk([], sites=[site("s001")]),
        }
        rows = [(shard, row.name) async for shard, row in sites(two)]
        assert len(rows) == 126
        assert rows[:3] == [(0, "s000"), (1, "s001"), (0, "s002")]

    asyncio.run(main())


def test_how_tls_went_is_added_up() -> None:
    def row(domain: str, successes: int, **failed: int) -> TlsRow:
        failures = [TlsFailure(result=name, host="mx", sessions=count) for name, count in failed.items()]
        return TlsRow(domain=domain, policy="sts", successes=successes, failures=failures)

    two = {
        0: FakeDesk([], tls=[row(f"d{i:03d}", 1, expired=1) for i in range(150)]),
        1: FakeDesk([], tls=[row("d001", 2, expired=1, mismatch=5)]),
    }
    rows = asyncio.run(tls(two))
    assert len(rows) == 150
    assert rows[1] == row("d001", 3, mismatch=5, expired=2)
    assert rows[2] == row("d002", 1, expired=1)
