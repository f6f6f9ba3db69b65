"""RCPT for mailboxes that have a quota."""

from collections.abc import Iterator

import pytest

from fastsmtp.mail import reply
from fastsmtp.mail.address import Address
from fastsmtp.session.session import Session
from fastsmtp.smtp.handler import PENDING
from tests.fakes.service import World
from tests.unit.test_session_session import FakeWire

ALIASES = {
    "boss@local.test": ("alice@local.test",),
    "team@local.test": ("alice@local.test", "bob@local.test", "carol@else.test"),
}
SENDER = Address("a", "b.test", "a@b.test")


def address(local: str) -> Address:
    """Someone of local.test."""
    return Address(local, "local.test", f"{local}@local.test")


@pytest.fixture
def world() -> Iterator[World]:
    world = World(aliases=ALIASES)
    world.names.quotas = {"alice@local.test": 1000}
    yield world
    world.close()


def begun(world: World, parameters: dict[str, str] | None = None) -> Session:
    """A session in which MAIL was taken."""
    session = Session(world.service.context, world.service.listeners[0], "192.0.2.1", FakeWire())
    session.on_hello("client.test", True)
    assert session.on_mail(SENDER, parameters) is None
    return session


@pytest.mark.parametrize(
    ("parameters", "size"), [(None, 0), ({"BODY": "8BITMIME"}, 0), ({"SIZE": "432"}, 432)]
)
def test_the_declared_size_is_asked_for(world: World, parameters: dict[str, str] | None, size: int) -> None:
    session = begun(world, parameters)
    assert session.on_rcpt(address("Alice+tag"), None) is None
    assert world.quotas.asked == [("alice@local.test", 1000, size)]


def test_whoever_has_no_quota_is_not_asked_about(world: World) -> None:
    assert begun(world).on_rcpt(address("bob"), None) is None
    assert world.quotas.asked == []


@pytest.mark.parametrize("local", ["alice", "ALICE+x", "boss", "postmaster"])
@pytest.mark.parametrize("refusal", [reply.MAILBOX_FULL, reply.MAILBOX_OVER_QUOTA])
def test_a_full_mailbox_is_refused_by_whatever_name(world: World, local: str, refusal: reply.Reply) -> None:
    world.quotas.full["alice@local.test"] = refusal
    assert begun(world).on_rcpt(address(local), None) is refusal
    [line] = world.logged()
    assert f'reply="{refusal.code} {refusal.status} ' in line


def test_others_of_the_message_go_on(world: World) -> None:
    world.quotas.full["alice@local.test"] = reply.MAILBOX_FULL
    session = begun(world)
    assert session.on_rcpt(address("alice"), None) is reply.MAILBOX_FULL
    assert session.on_rcpt(address("bob"), None) is None


def test_of_several_behind_an_alias_the_full_one_waits_in_the_queue(world: World) -> None:
    world.quotas.full["alice@local.test"] = reply.MAILBOX_FULL
    session = begun(world)
    assert session.on_rcpt(address("team"), None) is None
    assert session.on_data(False) is None
    session.on_body(b"x\r\n")
    assert session.on_body_end() is PENDING
    world.spool.commit()
    [(envelope, _)] = world.spool.stored
    assert [(one.address, one.mailbox) for one in envelope.recipients] == [
        ("alice@local.test", ""),
        ("bob@local.test", "bob@local.test"),
        ("carol@else.test", ""),
    ]
    assert all(one.original == "team@local.test" for one in envelope.recipients)
