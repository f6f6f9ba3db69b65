"""Look-ups: kept for a minute, merged when they meet, bounded, and none that fails stops the others."""

import asyncio
from typing import Any

from fastsmtp.mail.reply import MAILBOX_UNKNOWN
from fastsmtp.queue.ways import MOST_AT_ONCE, Way, Ways, nowhere
from fastsmtp.routing.route import Hop, LocalRoute
from fastsmtp.transport.smtp.mx import Unroutable
from fastsmtp.transport.smtp.place import Place
from tests.fakes.clock import FakeClock
from tests.fakes.routing import route, router, tables


def way(domain: str) -> Way:
    return (Hop("mx", domain, 25),), False


class Guide:
    """Answers when `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.asked: list[str] = []
        self.at_once = self.most = 0
        self.answer: Exception | None = None

    async def place(self, hops: Any, credentials: Any, *, requiretls: bool = False) -> Place:
        self.asked.append(hops[0].host)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await self.go.wait()
        self.at_once -= 1
        if self.answer is not None:
            raise self.answer
        return Place(f"mx.{hops[0].host}", ())


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.guide = Guide()
        self.router = router(route("far.test", "mx"), route("corp.test", "mx"))
        self.events: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.found: list[Place | Unroutable] = []
        self.ways = Ways(
            self.router,
            self.guide,
            self.clock,
            lambda work: self.tasks.append(asyncio.get_running_loop().create_task(work)),
            self.events.append,
        )

    async def finish(self) -> None:
        self.guide.go.set()
        while any(not task.done() for task in self.tasks):
            await asyncio.sleep(0)


def test_a_way_is_what_the_tables_say_now() -> None:
    async def main() -> None:
        world = World()
        found = world.ways.way("x@far.test", False)
        assert found == way("far.test")
        assert world.ways.way("bob@example.org", False) == LocalRoute("bob@example.org")
        assert world.ways.way("nobody@example.org", False) == MAILBOX_UNKNOWN
        world.router.replace(tables(route("far.test", "new.test:26")))
        assert world.ways.way("x@far.test", True) == ((Hop("smtp", "new.test", 26),), True)

    asyncio.run(main())


def test_look_ups_that_meet_are_one_and_are_kept_for_a_minute() -> None:
    async def main() -> None:
        world = World()
        ways = world.ways
        for _ in range(3):
            ways.look_up(way("far.test"), world.found.append)
        assert not world.found, "on a later turn"
        await world.finish()
        assert world.guide.asked == ["far.test"]
        assert len(world.found) == 3
        known = ways.place(way("far.test"))
        assert known is not None
        assert known.site == ways.site(way("far.test")) == "mx.far.test"
        world.clock.pass_by(61)
        assert ways.place(way("far.test")) is None
        assert ways.site(way("far.test")) == "mx.far.test"

    asyncio.run(main())


def test_no_more_than_so_many_at_once() -> None:
    async def main() -> None:
        world = World()
        for number in range(MOST_AT_ONCE + 50):
            world.ways.look_up(way(f"d{number}.test"), world.found.append)
        await asyncio.sleep(0)
        assert world.guide.at_once == MOST_AT_ONCE
        await world.finish()
        assert len(world.found) == MOST_AT_ONCE + 50
        assert world.guide.most == MOST_AT_ONCE

    asyncio.run(main())


def test_failures() -> None:
    async def main() -> None:
        world = World()
        for error, status in (
            (Unroutable("4.4.3", "DNS: SERVFAIL"), "4.4.3"),
            (Unroutable("5.1.2", "no such domain"), "5.1.2"),
            (ValueError("a fault"), "4.3.0"),
        ):
            world.guide.answer = error
            world.ways.look_up(way("far.test"), world.found.append)
            await world.finish()
            last = world.found[-1]
            assert isinstance(last, Unroutable)
            assert last.enhanced == status
        assert world.ways.place(way("far.test")) is None
        assert world.ways.site(way("far.test")) == nowhere(way("far.test")) == "MX of far.test, not found"
        assert world.events == ["internal error in a look-up for MX of far.test: ValueError('a fault')"]

    asyncio.run(main())


def test_a_failure_does_not_hide_what_was_found_before() -> None:
    async def main() -> None:
        world = World()
        world.ways.look_up(way("far.test"), world.found.append)
        await world.finish()
        world.clock.pass_by(61)
        world.guide.answer = Unroutable("4.4.3", "DNS: SERVFAIL")
        world.ways.look_up(way("far.test"), world.found.append)
        await world.finish()
        assert world.ways.site(way("far.test")) == "mx.far.test"

    asyncio.run(main())


def test_tables_that_are_read_again_bring_their_passwords() -> None:
    async def main() -> None:
        world = World()
        world.ways.look_up(way("far.test"), world.found.append)
        await world.finish()
        world.router.replace(tables())
        assert world.ways.place(way("far.test")) is None

    asyncio.run(main())
