"""RCPT that waits for a next hop: order under PIPELINING, clients that go, a server that stops."""

import asyncio
from collections.abc import Iterator

import pytest

from fastsmtp.mail import reply
from fastsmtp.mail.reply import CANNOT_VERIFY, Reply
from tests.fakes.service import World
from tests.fakes.transport import FakeTransport
from tests.fakes.verifier import FakeVerifier

NO = Reply(550, "1.1", "the next hop says: 550 nobody")
OPEN = b"EHLO c.test\r\nMAIL FROM:<a@b.test>\r\n"
OK = reply.RECIPIENT_OK.wire
FRIEND = "198.51.100.7"


def rcpt(name: str, domain: str = "corp.test") -> bytes:
    return f"RCPT TO:<{name}@{domain}>\r\n".encode()


@pytest.fixture
def verifier() -> FakeVerifier:
    return FakeVerifier()


@pytest.fixture
def world(verifier: FakeVerifier) -> Iterator[World]:
    world = World(
        verifier=verifier,
        aliases={"@local.test": ("@corp.test",), "both@local.test": ("alice@local.test", "x@corp.test")},
    )
    yield world
    world.close()


@pytest.fixture
def client(world: World) -> FakeTransport:
    return begun(world)


def begun(world: World, ip: str = "192.0.2.1") -> FakeTransport:
    """A client that has given its sender."""
    transport = world.connect(ip)
    transport.feed(OPEN)
    transport.take()
    return transport


def test_accepted_when_the_next_hop_knows(
    world: World, client: FakeTransport, verifier: FakeVerifier
) -> None:
    client.feed(rcpt("a"))
    assert client.take() == b""
    verifier.answer()
    assert client.take() == OK
    client.feed(b"DATA\r\nx\r\n.\r\n")
    world.spool.commit()
    [(envelope, _)] = world.spool.stored
    assert [(one.address, one.mailbox) for one in envelope.recipients] == [("a@corp.test", "")]


def test_refused_with_what_the_next_hop_says(
    world: World, client: FakeTransport, verifier: FakeVerifier
) -> None:
    client.feed(rcpt("a"))
    verifier.answer(NO)
    assert client.take() == NO.wire
    client.feed(b"DATA\r\n")
    assert client.take() == reply.NO_VALID_RECIPIENTS.wire
    assert world.logged() == [
        "rejected stage=RCPT client=192.0.2.1 from=<a@b.test> to=<a@corp.test> "
        'reply="550 5.1.1 the next hop says: 550 nobody"'
    ]


def test_what_is_known_is_answered_at_once(client: FakeTransport, verifier: FakeVerifier) -> None:
    verifier.known = {"a@corp.test": None, "b@corp.test": NO}
    client.feed(rcpt("a") + rcpt("b"))
    assert client.take() == OK + NO.wire


def test_a_pipelined_group_is_answered_in_order(
    world: World, client: FakeTransport, verifier: FakeVerifier
) -> None:
    verifier.known = {"c@corp.test": NO}
    group = rcpt("a") + rcpt("b") + rcpt("c") + rcpt("alice", "local.test") + rcpt("d") + b"DATA\r\n"
    client.feed(group)
    assert verifier.asked == ["a@corp.test"], "one after the other, as they are answered"
    verifier.answer()
    assert client.take() == OK
    verifier.answer(CANNOT_VERIFY)
    assert client.take() == CANNOT_VERIFY.wire + NO.wire + OK
    verifier.answer()
    assert client.take() == OK + reply.SEND_DATA.wire
    client.feed(b"x\r\n.\r\n")
    world.spool.commit()
    [(envelope, _)] = world.spool.stored
    assert [one.address for one in envelope.recipients] == ["a@corp.test", "alice@local.test", "d@corp.test"]


def test_named_twice_is_one_copy(world: World, client: FakeTransport, verifier: FakeVerifier) -> None:
    client.feed(rcpt("a") + rcpt("a"))
    verifier.answer()
    verifier.answer()
    assert client.take() == OK + reply.RECIPIENT_AGAIN.wire


def test_nothing_is_read_meanwhile_but_what_came(client: FakeTransport, verifier: FakeVerifier) -> None:
    client.feed(rcpt("a") + b"NOOP\r\n")
    assert not client.reading
    verifier.answer()
    assert client.take() == OK + reply.OK.wire
    assert client.reading


def test_trusted_clients_and_other_domains_are_not_asked_for(world: World, verifier: FakeVerifier) -> None:
    friend, stranger = begun(world, FRIEND), begun(world)
    friend.feed(rcpt("a") + rcpt("x", "far.test"))
    stranger.feed(rcpt("alice", "local.test") + rcpt("x", "far.test"))
    assert friend.take() == OK * 2
    assert stranger.take() == OK + reply.RELAY_DENIED.wire
    assert verifier.asked == []


def test_an_alias_of_a_whole_domain_is_asked_for(
    world: World, client: FakeTransport, verifier: FakeVerifier
) -> None:
    client.feed(rcpt("dora", "local.test") + rcpt("eve", "local.test"))
    assert verifier.asked == ["dora@corp.test"]
    verifier.answer()
    verifier.answer(NO)
    assert client.take() == OK + NO.wire
    client.feed(b"DATA\r\nx\r\n.\r\n")
    world.spool.commit()
    [(envelope, _)] = world.spool.stored
    assert [one.address for one in envelope.recipients] == ["dora@corp.test"]


def test_whom_an_alias_names_is_not_asked_for(client: FakeTransport, verifier: FakeVerifier) -> None:
    client.feed(rcpt("both", "local.test"))
    assert client.take() == OK
    assert verifier.asked == []


def test_without_a_verifier_nobody_can_be_known(world: World, client: FakeTransport) -> None:
    world.service.context.verifier = None
    client.feed(rcpt("a"))
    assert client.take() == CANNOT_VERIFY.wire


# --- ends ------------------------------------------------------------------------------------------


def test_a_client_that_goes_while_it_waits(
    world: World, client: FakeTransport, verifier: FakeVerifier
) -> None:
    client.feed(rcpt("a") + rcpt("b"))
    client.lose()
    verifier.answer(NO)
    assert client.take() == b""
    assert verifier.asked == ["a@corp.test"]
    assert world.logged() == [], "nobody was refused"
    assert not world.service.connections


def test_a_client_that_sends_no_more_gets_its_answer(client: FakeTransport, verifier: FakeVerifier) -> None:
    client.feed(rcpt("a"))
    client.protocol.eof_received()
    assert not client.closing
    verifier.answer()
    assert client.take() == OK
    assert client.closing


def test_waiting_is_not_being_silent(world: World, client: FakeTransport, verifier: FakeVerifier) -> None:
    client.feed(rcpt("a"))
    world.seconds(301)
    assert client.take() == b""
    verifier.answer()
    assert client.take() == OK
    world.seconds(301)
    assert client.take() == reply.TIMEOUT.wire


def test_a_server_that_stops_lets_the_answer_come_first(
    world: World, client: FakeTransport, verifier: FakeVerifier
) -> None:
    async def main() -> None:
        client.feed(rcpt("a"))
        drain = asyncio.get_running_loop().create_task(world.service.drain(10))
        await asyncio.sleep(0)
        assert client.take() == b""
        verifier.answer()
        assert client.take() == OK
        client.feed(b"RSET\r\n")
        assert client.take() == reply.RESET_OK.wire + reply.SHUTTING_DOWN.wire
        client.lose()
        await drain

    asyncio.run(main())


def test_a_server_that_stops_waits_no_longer_than_it_may(
    world: World, client: FakeTransport, verifier: FakeVerifier
) -> None:
    async def main() -> None:
        client.feed(rcpt("a"))
        drain = asyncio.get_running_loop().create_task(world.service.drain(0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert client.take() == reply.SHUTTING_DOWN.wire
        verifier.answer()
        assert client.take() == b""
        client.lose()
        await drain

    asyncio.run(main())
