"""Kept answers, and askers who wait together."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fastsmtp.dns.cache import Cache, Kept
from tests.fakes.clock import FakeClock


class Source:
    """Gives a number more each time; waits for ``gate`` when there is one."""

    def __init__(self, ttl: float = 60, weight: int = 1) -> None:
        self.calls = 0
        self.ttl = ttl
        self.weight = weight
        self.gate: asyncio.Event | None = None

    async def __call__(self) -> Kept[int]:
        self.calls += 1
        number = self.calls
        if self.gate is not None:
            await self.gate.wait()
        return Kept(number, self.ttl, self.weight)


def run(
    test: Callable[[Cache[str, int], FakeClock], Awaitable[None]], entries: int = 3, weight: int = 100
) -> None:
    async def with_cache() -> None:
        clock = FakeClock()
        await test(Cache(clock, entries=entries, weight=weight), clock)

    asyncio.run(with_cache())


def test_an_answer_is_kept_until_its_time_is_over() -> None:
    async def test(cache: Cache[str, int], clock: FakeClock) -> None:
        source = Source(ttl=60)
        assert await cache.ask("a", source) == 1
        clock.pass_by(59.9)
        assert await cache.ask("a", source) == 1
        assert cache.get("a") == 1
        clock.pass_by(0.1)
        assert cache.get("a") is None
        assert len(cache) == 0
        assert await cache.ask("a", source) == 2

    run(test)


def test_a_hundred_askers_cost_one_look_up() -> None:
    async def test(cache: Cache[str, int], clock: FakeClock) -> None:
        source = Source()
        source.gate = asyncio.Event()
        askers = [asyncio.create_task(cache.ask("a", source)) for _ in range(100)]
        await asyncio.sleep(0)
        source.gate.set()
        assert set(await asyncio.gather(*askers)) == {1}
        assert source.calls == 1

    run(test)


def test_a_cancelled_asker_takes_nobody_along() -> None:
    async def test(cache: Cache[str, int], clock: FakeClock) -> None:
        source = Source()
        source.gate = asyncio.Event()
        first = asyncio.create_task(cache.ask("a", source))
        await asyncio.sleep(0)
        second = asyncio.create_task(cache.ask("a", source))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        source.gate.set()
        assert await second == 1
        assert source.calls == 1

    run(test)


def test_a_look_up_that_everybody_left_is_kept_all_the_same() -> None:
    async def test(cache: Cache[str, int], clock: FakeClock) -> None:
        source = Source()
        source.gate = asyncio.Event()
        only = asyncio.create_task(cache.ask("a", source))
        await asyncio.sleep(0)
        only.cancel()
        source.gate.set()
        assert await cache.ask("a", source) == 1
        assert source.calls == 1

    run(test)


def test_who_was_not_asked_for_longest_goes_first() -> None:
    async def test(cache: Cache[str, int], clock: FakeClock) -> None:
        for name in "abc":
            await cache.ask(name, Source())
        assert cache.get("a") == 1
        await cache.ask("d", Source())
        assert [name for name in "abcd" if cache.get(name) is not None] == ["a", "c", "d"]

    run(test, entries=3)


def test_the_bytes_are_bounded_too() -> None:
    async def test(cache: Cache[str, int], clock: FakeClock) -> None:
        await cache.ask("a", Source(weight=40))
        await cache.ask("b", Source(weight=40))
        await cache.ask("c", Source(weight=40))
        assert [name for name in "abc" if cache.get(name) is not None] == ["b", "c"]
        assert await cache.ask("huge", Source(weight=1000)) == 1
        assert len(cache) == 0
        # What has gone weighs nothing any more.
        await cache.ask("a", Source(weight=50))
        await cache.ask("b", Source(weight=50))
        assert len(cache) == 2

    run(test)


def test_a_fresh_answer_replaces_the_old_one_and_its_weight() -> None:
    async def test(cache: Cache[str, int], clock: FakeClock) -> None:
        source = Source(ttl=10, weight=90)
        for _ in range(5):
            await cache.ask("a", source)
            clock.pass_by(11)
        await cache.ask("b", Source(weight=90))
        assert cache.get("b") == 1

    run(test)


def test_a_look_up_that_fails_fails_its_askers_and_is_not_kept() -> None:
    async def test(cache: Cache[str, int], clock: FakeClock) -> None:
        async def broken() -> Kept[int]:
            raise RuntimeError("not foreseen")

        with pytest.raises(RuntimeError):
            await cache.ask("a", broken)
        assert await cache.ask("a", Source()) == 1

    run(test)


def test_close_ends_what_is_on_its_way() -> None:
    async def test(cache: Cache[str, int], clock: FakeClock) -> None:
        source = Source()
        source.gate = asyncio.Event()
        asker = asyncio.create_task(cache.ask("a", source))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        cache.close()
        with pytest.raises(asyncio.CancelledError):
            await asker

    run(test)
