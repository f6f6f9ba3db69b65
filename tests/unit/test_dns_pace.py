"""Work in portions, one a turn of the loop."""

import asyncio

from fastsmtp.dns.pace import Pace


def test_a_crowd_comes_in_portions_and_in_its_order() -> None:
    async def run() -> None:
        pace, done = Pace(3), list[int]()

        async def work(number: int) -> None:
            await pace.turn()
            done.append(number)

        tasks = [asyncio.create_task(work(i)) for i in range(10)]
        grown, before = [], 0
        while len(done) < 10:
            await asyncio.sleep(0)
            grown.append(len(done) - before)
            before = len(done)
        assert done == list(range(10))
        assert max(grown) == 3
        await asyncio.gather(*tasks)

    asyncio.run(run())


def test_one_alone_does_not_wait() -> None:
    async def run() -> None:
        pace = Pace(1)
        for _ in range(5):
            turn = pace.turn()
            try:
                turn.send(None)
            except StopIteration:
                pass
            else:
                raise AssertionError("it waits")
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    asyncio.run(run())


def test_who_went_away_takes_no_place() -> None:
    async def run() -> None:
        pace = Pace(1)
        await pace.turn()
        gone, left = asyncio.create_task(pace.turn()), asyncio.create_task(pace.turn())
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait_for(left, 5)

    asyncio.run(run())
