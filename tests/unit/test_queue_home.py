"""Mail that waits for another host, and whose recipients live here by now."""

from pathlib import Path

import pytest

from fastsmtp.mail.envelope import Recipient
from fastsmtp.mail.reply import MAILBOX_FULL, MAILBOX_OVER_QUOTA
from fastsmtp.spool.base import SpoolFailed
from fastsmtp.spool.relay import Finish
from tests.fakes.accounts import FakeNames
from tests.fakes.remote import REFUSED, RemoteWorld
from tests.fakes.routing import route, router, tables

MOVED = ("example.org", "corp.test")


@pytest.fixture
def world() -> RemoteWorld:
    world = RemoteWorld(router(route("corp.test", "old.test:25"))).start()
    world.hosts.say = lambda site, address: REFUSED
    return world


def moves(world: RemoteWorld) -> None:
    """From now on corp.test is a domain of ours, with a user alice."""
    world.router.replace(tables(domains=MOVED, users=("alice",), relay=()))


def test_it_goes_into_the_mailbox_and_the_others_of_it_go_on(world: RemoteWorld) -> None:
    queue_id = world.send(
        Recipient("Alice+tag@corp.test", "", {"NOTIFY": "SUCCESS"}, None, "all@example.org"),
        "bob@far.test",
        sender="s@near.test",
        ENVID="x",
    )
    world.run(10)
    moves(world)
    world.run(120)
    [(envelope, whole)] = world.home.stored
    assert envelope.sender == "s@near.test"
    assert envelope.params == {"ENVID": "x"}
    assert envelope.recipients == [
        Recipient("Alice+tag@corp.test", "alice@corp.test", {"NOTIFY": "SUCCESS"}, None, "all@example.org")
    ]
    assert whole.startswith(b"Return-Path: <s@near.test>\r\nReceived: by mx.example.org")
    assert whole.endswith(b"Subject: x\r\n\r\nx\r\n")
    assert [one.number for one in world.box.rows[queue_id].rcpts] == [1]
    assert not world.teller.decisions, "who delivers it tells"
    assert f'reply="it lives here by now: queued as {envelope.id}"' in world.logged()


def test_a_start_brings_all_of_a_domain_home(world: RemoteWorld) -> None:
    ids = [world.send("alice@corp.test") for _ in range(3)]
    ids.append(world.send("nobody@corp.test"))
    world.run(10)
    world.runner.stop()
    moves(world)
    world.make()
    world.start()
    world.run(10)
    assert len(world.home.stored) == 3
    assert world.teller.notices("failed") == [(ids[3], "nobody@corp.test")]
    assert not world.box.mails
    assert not world.runner._hand.mails


def test_a_large_one_comes_in_pieces(world: RemoteWorld, tmp_path: Path) -> None:
    content = b"line of text\r\n" * 40_000
    file = tmp_path / "body"
    file.write_bytes(b"..." + content)
    world.home.room = 100_000
    envelope = world.letter("alice@corp.test")
    world.box.commit(envelope, file)
    world.run(10)
    moves(world)
    world.run(120)
    [body] = world.home.files
    assert len(body.data) < 250_000, "no faster than it is written"
    for _ in range(10):
        body.drain()
    world.run(1)
    [(_, whole)] = world.home.stored
    assert whole.endswith(b"\r\n" + content)
    assert world.box.settled[-1] == Finish(envelope.id)


def test_where_the_spool_takes_nothing_it_waits(world: RemoteWorld) -> None:
    queue_id = world.send("alice@corp.test")
    world.run(10)
    moves(world)
    world.home.trouble = SpoolFailed("I/O error")
    world.run(3600)
    assert queue_id in world.box.rows
    assert world.box.rows[queue_id].rcpts[0].code == 451
    world.home.trouble = None
    world.run(3600)
    assert len(world.home.stored) == 1
    assert not world.box.mails


def test_what_is_not_durable_yet_is_not_done(world: RemoteWorld) -> None:
    queue_id = world.send("alice@corp.test")
    world.run(10)
    moves(world)
    world.home._post = None
    world.run(100)
    assert len(world.home.waiting) == 1
    assert queue_id in world.box.mails
    world.home.commit()
    world.run(1)
    assert not world.box.mails


def test_a_stop_in_between_leaves_it_where_it_was(world: RemoteWorld) -> None:
    queue_id = world.send("alice@corp.test")
    world.run(10)
    moves(world)
    world.home._post = None
    world.run(100)
    settled = len(world.box.settled)
    world.runner.stop()
    world.home.commit()
    world.loop.run(10)
    assert queue_id in world.box.mails
    assert len(world.box.settled) == settled


def full_at_home(world: RemoteWorld) -> None:
    """alice and bob of corp.test live here from now on; alice's mailbox, which has a quota, is full."""
    names = FakeNames()
    names.quotas = {"alice@corp.test": 1000}
    world.router.replace(tables(domains=MOVED, users=("alice", "bob"), relay=(), names=names))
    world.quotas.full["alice@corp.test"] = MAILBOX_FULL


def test_a_full_mailbox_waits_as_after_an_attempt(world: RemoteWorld) -> None:
    full_at_home(world)
    queue_id = world.send("alice@corp.test", "bob@corp.test", SIZE="123")
    world.run(10)
    assert world.quotas.asked == [("alice@corp.test", 1000, 123)]
    [(envelope, _)] = world.home.stored
    assert [one.mailbox for one in envelope.recipients] == ["bob@corp.test"]
    assert 'reply="452 mailbox is full, try later"' in world.logged()
    world.quotas.full.clear()
    world.run(3600)
    assert [one.mailbox for one in world.home.stored[-1][0].recipients] == ["alice@corp.test"]
    assert len(world.home.stored) == 2
    assert queue_id not in world.box.mails


def test_one_that_stays_full_has_its_sender_told(world: RemoteWorld) -> None:
    full_at_home(world)
    queue_id = world.send("alice@corp.test")
    world.run(6 * 86_400)
    assert world.teller.notices("failed") == [(queue_id, "alice@corp.test")]
    assert not world.home.stored
    assert not world.box.mails


def test_one_that_refuses_has_its_sender_told_at_once(world: RemoteWorld) -> None:
    full_at_home(world)
    world.quotas.full["alice@corp.test"] = MAILBOX_OVER_QUOTA
    queue_id = world.send("alice@corp.test")
    world.run(10)
    assert world.teller.notices("failed") == [(queue_id, "alice@corp.test")]
