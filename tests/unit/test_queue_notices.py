"""Notifications enter by the same door as every message, and read as `fastsmtp.bounce` writes them."""

import os
from collections.abc import Callable, Iterator
from email import message_from_bytes

import pytest

from fastsmtp.bounce.decide import Outcome
from fastsmtp.bounce.original import Original
from fastsmtp.intake.intake import Intake
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mail.result import DeliveryResult
from fastsmtp.queue.notices import Notifier
from fastsmtp.spool.base import SpoolFull
from fastsmtp.telemetry.maillog import MailLog
from tests.fakes.clock import FakeClock
from tests.fakes.routing import router
from tests.fakes.spool import MemorySpool

MESSAGE = b"Subject: hello\r\nMessage-ID: <1@near.test>\r\n\r\nbody\r\n"


class World:
    def __init__(self, postmaster: str = "postmaster@example.org") -> None:
        self.clock = FakeClock()
        self.spool = MemorySpool(lambda commit: commit())
        self.fd = os.memfd_create("log")
        self.log = MailLog(self.clock, slot=0, fd=self.fd)
        self.notifier = Notifier(
            Intake(self.spool, hostname="mx.near.test", clock=self.clock),
            router(aliases={"team@example.org": ["bob@example.org", "x@far.test"]}),
            hostname="mx.near.test",
            postmaster=postmaster,
            log=self.log,
            clock=self.clock,
        )
        self.done: list[list[str]] = []
        """Whom it is to be told of again, call by call."""

    def fail(self, sender: str, *recipients: Recipient, content: bytes = MESSAGE, **params: str) -> None:
        envelope = Envelope(
            "ID1", sender, list(recipients), "192.0.2.1", "c", "ESMTP", self.clock.now(), params or None
        )
        outcomes = [
            Outcome(
                one,
                "failed",
                DeliveryResult(
                    number, "failed", 550, "5.1.1", "no such user", "mx.far.test[192.0.2.9]:25", "smtp"
                ),
                self.clock.now(),
            )
            for number, one in enumerate(recipients)
        ]
        self.notifier.tell(
            envelope,
            outcomes,
            lambda most: Original(content[:most], len(content)),
            lambda again: self.done.append([one.recipient.address for one in again]),
        )

    def logged(self) -> str:
        self.log.flush()
        return os.pread(self.fd, 1 << 20, 0).decode()


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    os.close(world.fd)


def test_a_bounce_goes_to_the_sender(world: World) -> None:
    world.fail("bob@example.org", Recipient("a@far.test", ""), Recipient("b@far.test", ""), RET="FULL")
    assert world.done == [[]]
    [(envelope, content)] = world.spool.stored
    assert envelope.sender == ""
    assert [(one.address, one.mailbox) for one in envelope.recipients] == [
        ("bob@example.org", "bob@example.org")
    ]
    message = message_from_bytes(content)
    assert message["Return-Path"] == "<>"
    assert message["Received"].startswith(f"by mx.near.test (fastsmtp) id {envelope.id}; ")
    assert message.get_content_type() == "multipart/report"
    assert "hello" in content.decode()
    assert (
        f"notified id={envelope.id} about=ID1 to=<bob@example.org> kind=failed recipients=2" in world.logged()
    )


def test_a_sender_elsewhere_is_written_to_like_any_recipient(world: World) -> None:
    world.fail("someone@away.test", Recipient("a@far.test", ""))
    [(envelope, _)] = world.spool.stored
    assert [(one.address, one.mailbox) for one in envelope.recipients] == [("someone@away.test", "")]


def test_a_sender_who_is_an_alias(world: World) -> None:
    world.fail("team@example.org", Recipient("a@far.test", ""))
    [(envelope, _)] = world.spool.stored
    assert [(one.address, one.mailbox, one.sender) for one in envelope.recipients] == [
        ("bob@example.org", "bob@example.org", None),
        ("x@far.test", "", None),
    ]


def test_each_return_address_gets_one(world: World) -> None:
    world.fail(
        "bob@example.org",
        Recipient("a@far.test", ""),
        Recipient("b@far.test", "", None, "owner@away.test", "list@example.org"),
    )
    assert world.done == [[]]
    assert [envelope.recipients[0].address for envelope, _ in world.spool.stored] == [
        "bob@example.org",
        "owner@away.test",
    ]


def test_a_sender_nobody_knows_ends_there(world: World) -> None:
    world.fail("nobody@example.org", Recipient("a@far.test", ""))
    assert world.done == [[]]
    assert not world.spool.stored
    assert 'untold id=ID1 reason="<nobody@example.org> is refused, 550 5.1.1' in world.logged()


def test_the_null_sender_is_never_bounced_but_the_postmaster_hears(world: World) -> None:
    world.fail("", Recipient("a@far.test", ""))
    [(envelope, _)] = world.spool.stored
    assert envelope.recipients[0].address == "postmaster@example.org"


def test_without_a_postmaster_nobody_is_told() -> None:
    world = World(postmaster="")
    world.fail("", Recipient("a@far.test", ""))
    assert world.done == [[]]
    assert not world.spool.stored
    assert 'untold id=ID1 to=<a@far.test> reason="it has no sender"' in world.logged()
    os.close(world.fd)


def test_what_the_spool_cannot_take_is_to_come_again(world: World) -> None:
    world.spool.trouble = SpoolFull("no room")
    world.fail("bob@example.org", Recipient("a@far.test", ""))
    assert world.done == [["a@far.test"]]


def test_only_what_the_spool_did_not_take_is_to_come_again(world: World) -> None:
    def full_after_one(commit: Callable[[], None]) -> None:
        commit()
        world.spool.trouble = SpoolFull("no room")

    world.spool._post = full_after_one
    world.fail(
        "bob@example.org",
        Recipient("a@far.test", ""),
        Recipient("b@far.test", "", None, "owner@away.test", "list@example.org"),
        Recipient("c@far.test", "", None, "owner@away.test", "list@example.org"),
    )
    assert [envelope.recipients[0].address for envelope, _ in world.spool.stored] == ["bob@example.org"]
    assert world.done == [["b@far.test", "c@far.test"]]


def test_a_large_one_flows_through_a_file(world: World) -> None:
    world.fail(
        "bob@example.org",
        Recipient("a@far.test", ""),
        content=MESSAGE + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 2000,
        RET="FULL",
    )
    assert world.done == [[]]
    [(_, content)] = world.spool.stored
    assert len(content) > 144_000
