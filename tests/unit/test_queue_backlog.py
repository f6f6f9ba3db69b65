"""Mail that waits in the spool with its site; the whole of it is under test in test_queue_remote.py."""

import pytest

from fastsmtp.queue import placing
from fastsmtp.queue.backlog import PAGE
from fastsmtp.spool.waiting import RcptState, Try, Waiting
from tests.fakes.remote import REFUSED, TAKEN, RemoteWorld
from tests.fakes.routing import route, router


def stored(world: RemoteWorld, count: int, domain: str, *, due: float = 0.0) -> list[str]:
    """Mail that has waited since before the start."""
    ids = []
    for number in range(count):
        envelope = world.letter(f"u{number}@{domain}")
        world.box.mails[envelope.id] = (envelope, b"Subject: x\r\n\r\n")
        state = RcptState(0, due, (Try(world.clock.now(), 451, "4.3.0", "later", "mx"),))
        world.box.rows[envelope.id] = Waiting(world.clock.now(), False, False, [state])
        ids.append(envelope.id)
    return ids


def test_a_site_is_found_behind_mail_with_due_times_of_its_own() -> None:
    world = RemoteWorld()
    stored(world, 3 * PAGE, "far.test", due=world.clock.now() + 5000)
    ids = stored(world, 2, "far.test")
    world.start()
    world.run(5)
    assert [one for one, _ in world.hosts.taken] == ids


def test_a_backlog_is_read_in_pages() -> None:
    world = RemoteWorld()
    ids = stored(world, 10 * PAGE, "far.test")
    world.hosts.seconds["mx.far.test"] = 0.01
    world.start()
    most = 0
    while world.box.mails:
        world.run(0.05)
        most = max(most, len(world.runner._hand.mails))
    assert most <= 3 * PAGE
    assert sorted(one for one, _ in world.hosts.taken) == ids


def test_a_failing_site_is_tried_with_one_mail() -> None:
    world = RemoteWorld()
    stored(world, 3 * PAGE, "far.test")
    world.hosts.say = lambda site, address: REFUSED
    world.start()
    world.run(10)
    assert len(world.hosts.jobs) == 1
    assert not world.runner._hand.mails
    assert not world.box.settled, "nothing is written for it"


def test_mail_of_one_domain_that_goes_two_ways() -> None:
    world = RemoteWorld(router(route("u1@far.test", "other.test:25"), route("*", "mx")))
    ids = stored(world, 4, "far.test")
    world.start()
    world.run(10)
    assert sorted(one for one, _ in world.hosts.taken) == ids
    assert {(site, to) for _, site, _, to in world.hosts.jobs if to == ("u1@far.test",)} == {
        ("mx.other.test", ("u1@far.test",))
    }


def test_ages_are_looked_at_when_something_can_be_old_enough() -> None:
    world = RemoteWorld(retry=(60.0,))
    stored(world, 2 * PAGE, "far.test")
    world.hosts.say = lambda site, address: REFUSED
    world.start()
    world.run(3000)
    before = world.box.loads
    world.run(3000)
    assert world.box.loads - before < PAGE * 3, "only the one that the site is tried with"
    world.run(3 * 3600)
    assert len(world.teller.notices("delayed")) == 2 * PAGE
    world.hosts.say = lambda site, address: TAKEN
    world.run(100)
    assert len(world.hosts.taken) == 2 * PAGE


@pytest.mark.parametrize("working", [True, False])
def test_mail_is_found_that_was_on_its_way_to_the_spool_when_its_site_had_room(
    working: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(placing._MOST, "working", 1)
    world = RemoteWorld().start()
    settle = world.box.settle
    monkeypatch.setattr(
        world.box,
        "settle",
        lambda changes, done: world.loop.call_later(90.0, lambda: settle(changes, done)),
    )
    world.hosts.seconds["mx.far.test"] = 0.5
    world.hosts.say = lambda site, address: TAKEN if working else REFUSED
    ids = [world.send("a@far.test")]
    world.run(1)
    ids += [world.send(f"u{number}@far.test") for number in range(4)]
    world.run(5)
    world.hosts.say = lambda site, address: TAKEN
    world.run(400)
    assert sorted(one for one, _ in world.hosts.taken) == ids
    assert not world.box.mails
