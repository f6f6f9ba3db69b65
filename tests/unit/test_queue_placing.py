"""Where recipients go, as their routes and their hosts are at that moment."""

import pytest

from fastsmtp.mail.envelope import Recipient
from fastsmtp.spool.relay import Finish
from fastsmtp.transport.smtp.mx import Unroutable
from tests.fakes.remote import REFUSED, TAKEN, RemoteWorld
from tests.fakes.routing import route, router, tables


def test_recipients_of_one_place_are_one_delivery() -> None:
    world = RemoteWorld().start()
    world.guide.sites["two.test"] = "mx.far.test"
    queue_id = world.send("a@far.test", "b@two.test", "c@far.test", "d@alone.test")
    world.run(1)
    assert sorted((site, to) for _, site, _, to in world.hosts.jobs) == [
        ("mx.alone.test", ("d@alone.test",)),
        ("mx.far.test", ("a@far.test", "c@far.test")),
        ("mx.far.test", ("b@two.test",)),
    ]
    assert world.box.settled[-1] == Finish(queue_id, 4)


def test_a_domain_that_does_not_exist_bounces() -> None:
    world = RemoteWorld().start()
    world.guide.sites["far.test"] = Unroutable("5.1.2", "far.test: there is no such domain")
    queue_id = world.send("b@far.test")
    world.run(1)
    assert world.teller.notices("failed") == [(queue_id, "b@far.test")]
    assert not world.box.mails


def test_when_dns_fails_the_look_up_is_what_is_tried() -> None:
    world = RemoteWorld().start()
    world.guide.sites["far.test"] = Unroutable("4.4.3", "DNS: far.test: SERVFAIL")
    ids = [world.send(f"u{number}@far.test") for number in range(30)]
    world.run(120)
    assert len(world.guide.asked) < 6
    assert len(world.box.rows) == 30
    [state] = [one for one in world.runner.sites() if one.waiting]
    assert state.name == "MX of far.test, not found"
    assert "SERVFAIL" in state.reason
    del world.guide.sites["far.test"]
    world.run(400)
    assert sorted(one for one, _ in world.hosts.taken) == ids
    assert not world.box.mails


def test_a_domain_whose_hosts_change_takes_its_mail_along() -> None:
    world = RemoteWorld().start()
    world.hosts.say = lambda site, address: REFUSED if site == "mx.far.test" else TAKEN
    ids = [world.send(f"u{number}@far.test") for number in range(80)]
    world.run(10)
    world.guide.sites["far.test"] = "new.far.test"
    world.run(400)
    assert sorted(one for one, _ in world.hosts.taken) == ids
    assert world.attempts("mx.far.test")[0] == 0
    assert not world.box.mails


def test_routes_that_are_read_again_hold_for_what_waits() -> None:
    world = RemoteWorld(router(route("far.test", "old.test:25"))).start()
    world.hosts.say = lambda site, address: REFUSED if site == "mx.old.test" else TAKEN
    ids = [world.send(f"u{number}@far.test") for number in range(5)]
    world.run(10)
    world.router.replace(tables(route("far.test", "new.test:25")))
    world.run(120)
    assert sorted(one for one, _ in world.hosts.taken) == ids
    assert {site for _, site, _, _ in world.hosts.jobs} == {"mx.old.test", "mx.new.test"}


def test_a_route_that_refuses_now_bounces() -> None:
    world = RemoteWorld(router(route("corp.test", "old.test:25"))).start()
    world.hosts.say = lambda site, address: (451, "4.3.0", "later")
    queue_id = world.send("b@corp.test")
    world.router.replace(tables(route("corp.test", "reject:moved away")))
    world.run(120)
    assert world.teller.notices("failed") == [(queue_id, "b@corp.test")]
    assert not world.box.mails


def test_members_of_a_list_do_not_carry_the_senders_wishes() -> None:
    world = RemoteWorld().start()
    world.send(
        Recipient("b@far.test", "", None, "owner-list@example.org", "list@example.org"),
        Recipient("c@far.test", "", {"NOTIFY": "FAILURE"}),
        RET="FULL",
        ENVID="x",
        SIZE="100",
    )
    world.run(1)
    sent = {
        job[3]: envelope.params for job, envelope in zip(world.hosts.jobs, world.hosts.envelopes, strict=True)
    }
    assert sent == {
        ("b@far.test",): {"SIZE": "100"},
        ("c@far.test",): {"RET": "FULL", "ENVID": "x", "SIZE": "100"},
    }


def test_a_site_not_tried_yet_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("fastsmtp.queue.placing", fromlist=["_MOST"])._MOST, "new", 10)
    world = RemoteWorld().start()
    world.hosts.seconds["mx.slow.test"] = 30.0
    for number in range(100):
        world.send(f"u{number}@slow.test")
    assert len(world.runner._hand.mails) <= 11
    assert len(world.box.rows) == 89
    world.hosts.seconds["mx.slow.test"] = 0.1
    world.run(200)
    assert len(world.hosts.taken) == 100
    assert not world.box.mails
