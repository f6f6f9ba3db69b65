"""A message that kills its worker is found, and costs no more than three of them."""

from itertools import pairwise

import pytest

from fastsmtp.queue.suspects import AFTER, MOST_DEATHS, Suspects
from fastsmtp.spool.waiting import RcptState, Waiting
from tests.fakes.remote import REFUSED, TAKEN, RemoteWorld


def dies(world: RemoteWorld, *, crashed: bool = True) -> None:
    """The worker is gone, and another takes its place."""
    world.runner.stop()
    for delivery in list(world.runner._attempts.under_way):
        delivery.cancelled = True  # type: ignore[attr-defined]
    world.make(crashed=crashed)
    world.start()


def test_what_was_under_way_is_tried_after_the_others_and_one_at_a_time() -> None:
    world = RemoteWorld().start()
    for number in range(5):
        world.hosts.seconds[f"mx.d{number}.test"] = 10.0
    accused = [world.send(f"u@d{number}.test") for number in range(5)]
    world.run(1)
    dies(world)
    assert "5 message(s) were under way when the worker died" in world.logged()
    late = world.send("late@live.test")
    world.run(5)
    assert [one for one, _ in world.hosts.taken] == [late]
    world.run(AFTER)
    assert len(world.runner._attempts.under_way) == 1
    world.run(100)
    assert sorted(one for one, _ in world.hosts.taken) == [*accused, late]
    begun = [at for at, site, _, _ in world.hosts.jobs[6:] if site.startswith("mx.d")]
    assert all(later - before >= 10 for before, later in pairwise(begun))


def test_one_that_kills_each_time_is_held_and_the_others_arrive() -> None:
    world = RemoteWorld().start()
    for number in range(3):
        world.hosts.seconds[f"mx.d{number}.test"] = 5.0
    killer, *others = [world.send(f"u@d{number}.test") for number in range(3)]
    world.run(1)
    for death in range(1, MOST_DEATHS + 1):
        dies(world)
        if death == MOST_DEATHS:
            break
        for _ in range(400):
            world.run(1)
            if "mx.d0.test" in {site for at, site, _, _ in world.hosts.jobs[-1:]} and (
                world.runner._attempts.under_way
            ):
                break
        else:
            pytest.fail("it is not tried again")
    assert world.held == [killer]
    assert f"{killer} is held: 3 workers in a row died while it was delivered" in world.logged()
    world.run(200)
    assert sorted(one for one, _ in world.hosts.taken) == others
    world.box.rows[killer] = Waiting(world.clock.now(), False, False, [RcptState(0)])
    world.runner.changed([killer])
    world.run(200)
    assert sorted(one for one, _ in world.hosts.taken) == [killer, *others], "an operator has released it"


def test_mail_that_waited_is_set_aside_and_found_again() -> None:
    world = RemoteWorld().start()
    world.hosts.say = lambda site, address: REFUSED if site == "mx.dead.test" else (451, "4.3.0", "later")
    ids = [world.send("u@dead.test"), world.send("u@grey.test")]
    world.run(30)
    world.hosts.say = lambda site, address: TAKEN
    world.hosts.seconds.update({"mx.dead.test": 5.0, "mx.grey.test": 5.0})
    world.run(33)
    assert len(world.runner._attempts.under_way) == 2
    dies(world)
    world.run(AFTER - 5)
    assert not world.hosts.taken
    world.run(400)
    assert sorted(one for one, _ in world.hosts.taken) == ids
    assert not world.box.mails


def test_a_kill_from_outside_accuses_nobody() -> None:
    world = RemoteWorld().start()
    world.hosts.seconds["mx.far.test"] = 5.0
    queue_id = world.send("u@far.test")
    world.run(1)
    dies(world, crashed=False)
    world.run(10)
    assert world.hosts.taken == [(queue_id, "u@far.test")]


def test_what_is_over_is_not_accused() -> None:
    region = memoryview(bytearray(Suspects.BYTES))

    def made() -> Suspects:
        return Suspects(region, crashed=True, hold=lambda queue_id: None, event=lambda text: None)

    suspects = made()
    for queue_id in ("A" * 13, "B" * 13, "B" * 13, "C" * 13):
        suspects.begin(queue_id)
    suspects.end("A" * 13)
    suspects.end("B" * 13)
    suspects.end("D" * 13)
    again = made()
    assert [again.aside(letter * 13) for letter in "ABCD"] == [False, True, True, False]
    assert made().next() is None, "what was set aside and not tried is not accused again"


def test_more_than_there_is_room_for_are_not_noted() -> None:
    region = memoryview(bytearray(Suspects.BYTES))
    suspects = Suspects(region, crashed=False, hold=lambda queue_id: None, event=lambda text: None)
    for number in range(5000):
        suspects.begin(f"{number:013}")
    for number in range(5000):
        suspects.end(f"{number:013}")
    assert not any(region[cell] for cell in range(14, len(region), 15))
