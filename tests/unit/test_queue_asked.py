"""What people ask of the queue for other hosts: an attempt now, an end, times as their clock shows them."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from fastsmtp.queue.plan.clock import QueueClock, Reading
from fastsmtp.spool.relay import Finish
from fastsmtp.spool.waiting import RcptState, Waiting
from tests.fakes.remote import REFUSED, TAKEN, RemoteWorld

T = TypeVar("T")
DAY = 86_400.0
BUSY_MAILBOX = (450, "4.2.0", "mailbox busy")


def wait_for(world: RemoteWorld, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` gives, while the runner's loop goes on."""

    async def main() -> T:
        task = asyncio.create_task(work)
        while not task.done():
            await asyncio.sleep(0)
            world.loop.turn()
        return task.result()

    return asyncio.run(main())


def give_up(world: RemoteWorld, *ids: str) -> list[str]:
    """What the runner gives."""
    return wait_for(world, world.runner.give_up(ids))


def test_a_message_that_is_given_up_goes_back_at_once() -> None:
    world = RemoteWorld().start()
    world.hosts.say = lambda site, address: BUSY_MAILBOX
    queue_id = world.send("b@far.test", "c@far.test")
    other = world.send("d@far.test")
    world.run(1)
    assert give_up(world, queue_id, "0" * 13) == [queue_id]
    assert world.teller.notices("failed") == [(queue_id, "b@far.test"), (queue_id, "c@far.test")]
    assert Finish(queue_id, 2) in world.box.settled
    assert list(world.box.mails) == [other]
    outcome = world.teller.decisions[-1][1].notices[0].outcomes[0]
    assert outcome.result.enhanced == "5.0.0"
    assert outcome.result.text == "given up by the postmaster; the last answer was: 450 mailbox busy"
    tried = len(world.hosts.jobs)
    world.hosts.say = lambda site, address: TAKEN
    world.run(3600)
    assert [job[3] for job in world.hosts.jobs[tried:]] == [("d@far.test",)], "it is not tried again"


def test_what_waits_with_a_dead_site_can_be_given_up() -> None:
    world = RemoteWorld().start()
    world.hosts.say = lambda site, address: REFUSED
    ids = [world.send("b@far.test") for _ in range(3)]
    world.run(1)
    assert give_up(world, ids[1]) == [ids[1]]
    assert world.teller.notices("failed") == [(ids[1], "b@far.test")]
    world.hosts.say = lambda site, address: TAKEN
    world.run(3600)
    assert sorted(world.hosts.taken) == sorted((one, "b@far.test") for one in (ids[0], ids[2]))


def test_what_is_under_way_is_not_given_up() -> None:
    world = RemoteWorld().start()
    world.hosts.seconds["mx.far.test"] = 5.0
    queue_id = world.send("b@far.test")
    world.run(1)
    assert give_up(world, queue_id) == []
    world.run(10)
    assert world.hosts.taken == [(queue_id, "b@far.test")]
    assert world.teller.notices("failed") == []


def test_what_waits_in_memory_for_its_turn_is_given_up() -> None:
    world = RemoteWorld().start()
    world.hosts.say = lambda site, address: BUSY_MAILBOX
    ids = [world.send("b@far.test") for _ in range(3)]
    world.run(1)
    world.hosts.say = lambda site, address: TAKEN
    world.hosts.seconds["mx.far.test"] = 1000.0
    world.run(120)
    [under_way] = {job[2] for job in world.hosts.jobs[3:]}
    others = [one for one in ids if one != under_way]
    assert give_up(world, *ids) == others
    assert world.teller.notices("failed") == [(one, "b@far.test") for one in others]
    world.run(3600)
    assert world.hosts.taken == [(under_way, "b@far.test")]
    assert not world.box.mails
    assert not world.runner._hand.mails


def test_what_was_not_tried_yet_is_not_given_up() -> None:
    world = RemoteWorld().start()
    world.hosts.seconds["mx.far.test"] = 5.0
    ids = [world.send("b@far.test") for _ in range(3)]
    world.run(1)
    assert give_up(world, *ids) == []
    world.run(60)
    assert sorted(world.hosts.taken) == [(one, "b@far.test") for one in ids]


@pytest.mark.parametrize("known", [True, False])
def test_a_message_can_end_the_pause_of_its_site(known: bool) -> None:
    world = RemoteWorld().start()
    world.hosts.say = lambda site, address: REFUSED
    queue_id = world.send("b@far.test")
    world.run(1)
    before = world.attempts("mx.far.test")
    world.hosts.say = lambda site, address: TAKEN
    wait_for(world, world.runner.hurry([queue_id if known else "0" * 13]))
    world.run(1)
    assert (len(world.attempts("mx.far.test")) > len(before)) == known
    assert world.hosts.taken == ([(queue_id, "b@far.test")] if known else [])


def test_times_are_shown_by_the_clock() -> None:
    world = RemoteWorld().start()
    now = world.time.now(world.clock.monotonic())
    assert world.runner.wall_time(now + 60) == pytest.approx(world.clock.now() + 60)


def test_all_that_waits_with_a_dead_site_goes_when_it_is_tried_by_hand() -> None:
    world = RemoteWorld().start()
    world.hosts.say = lambda site, address: REFUSED
    ids = [world.send("b@far.test") for _ in range(200)]
    world.run(1)
    world.hosts.say = lambda site, address: TAKEN
    for one in ids:
        row = world.box.rows[one]
        world.box.rows[one] = Waiting(
            row.queued_at, False, False, [replace(state, due=1.0) for state in row.rcpts]
        )
    assert world.box.on_changed is not None
    world.box.on_changed(ids)
    wait_for(world, world.runner.hurry(ids))
    world.run(5)
    assert sorted(world.hosts.taken) == sorted((one, "b@far.test") for one in ids)


def test_holding_what_is_not_in_memory_reads_nothing() -> None:
    world = RemoteWorld().start()
    world.hosts.say = lambda site, address: REFUSED
    ids = [world.send("b@far.test") for _ in range(200)]
    world.run(1)
    for one in ids:
        row = world.box.rows[one]
        world.box.rows[one] = Waiting(row.queued_at, False, True, row.rcpts)
    loads = world.box.loads
    assert world.box.on_changed is not None
    world.box.on_changed(ids)
    assert world.box.loads == loads


def test_fresh_mail_that_was_held_has_its_age_in_queue_time() -> None:
    world = RemoteWorld()
    now = world.clock.now()
    world.time = QueueClock(now, world.clock.monotonic(), Reading(now + DAY, now))
    world.make()
    queue_id = world.send("b@far.test")
    world.box.rows[queue_id] = Waiting(now, False, True, [RcptState(0)])
    world.start()
    world.runner.changed([queue_id])
    world.run(60)
    assert not world.hosts.jobs
    world.hosts.say = lambda site, address: BUSY_MAILBOX
    world.box.rows[queue_id].held = False
    world.runner.changed([queue_id])
    world.run(10)
    assert len(world.hosts.jobs) == 1
    assert world.box.rows[queue_id].queued_at == pytest.approx(now + DAY, abs=1)
