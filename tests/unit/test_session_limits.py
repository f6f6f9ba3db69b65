"""Sessions ask the rules of the settings where they should, say what the rules say, and go on where they must."""

import base64
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fastsmtp.limits.rule_settings import RuleSettings
from fastsmtp.mail import reply
from tests.fakes.accounts import FakeAuthenticator
from tests.fakes.service import World
from tests.fakes.transport import FakeTransport
from tests.fakes.verifier import FakeVerifier
from tests.unit.test_limits_counter import rule

FRIEND = "198.51.100.7"
MAIL = b"MAIL FROM:<a@far.test>\r\n"
ALICE = b"RCPT TO:<alice@local.test>\r\n"
NOBODY = b"RCPT TO:<nobody@local.test>\r\n"


@pytest.fixture
def worlds() -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(*rules: RuleSettings, **options: Any) -> World:
        made.append(World(rules=rules, errors=500, **options))
        return made[-1]

    yield make
    for world in made:
        world.close()


def said(client: FakeTransport, data: bytes) -> list[str]:
    """Code and enhanced status of each reply to ``data``."""
    client.feed(data)
    return [" ".join(line.split()[:2]) for line in client.take().decode().splitlines() if line[3] == " "]


def hello(world: World, ip: str = "192.0.2.1") -> FakeTransport:
    client = world.connect(ip)
    client.feed(b"EHLO c.test\r\n")
    client.take()
    return client


def plain(password: str) -> bytes:
    return b"AUTH PLAIN " + base64.b64encode(f"\0alice@example.org\0{password}".encode()) + b"\r\n"


def guessed_at(
    worlds: Callable[..., World], rate: str, authenticator: FakeAuthenticator | None = None
) -> World:
    """A server that lets so many logins fail."""
    return worlds(
        rule("auth_failures", rate=rate),
        authenticator=authenticator or FakeAuthenticator(),
        clear_on_loopback=True,
        penalties=True,
    )


def test_connections(worlds: Callable[..., World]) -> None:
    world = worlds(rule("connections"))
    for _ in range(2):
        world.connect().lose()
    refused = world.connect()
    assert refused.take().startswith(
        b"421 4.7.0 too many connections from your address, come back in 30 seconds"
    )
    assert refused.closing
    assert (
        'rejected stage=connect client=192.0.2.1 reply="421 4.7.0 too many connections' in world.logged()[-1]
    )
    assert hello(world, "192.0.2.2").reading
    assert world.guard.total[0] == 1, "the refused one is not counted as open"


def test_early_talkers(worlds: Callable[..., World]) -> None:
    world = worlds(rule("early_talkers"))
    here, there = socket.socketpair()
    with here, there:
        there.send(b"EHLO c.test\r\n")
        for _ in range(2):
            assert world.connect(handle=here).take() == reply.EARLY_TALK.wire
    assert world.connect().take().startswith(b"421 4.7.0 too many connections that talk before the banner")
    assert world.connect("192.0.2.2").take().startswith(b"220 ")


def test_messages_and_the_session_goes_on(worlds: Callable[..., World]) -> None:
    client = hello(worlds(rule("messages")))
    answers = said(client, MAIL + b"RSET\r\n" + MAIL + b"RSET\r\n" + MAIL + b"NOOP\r\n")
    assert answers == ["250 2.1.0", "250 2.0.0", "250 2.1.0", "250 2.0.0", "450 4.7.1", "250 2.0.0"]


def test_sender_domains(worlds: Callable[..., World]) -> None:
    world = worlds(rule("messages", "sender_domain", "1/1m"))
    first, second = hello(world), hello(world, "192.0.2.2")
    assert said(first, MAIL) == ["250 2.1.0"]
    assert said(second, b"MAIL FROM:<b@FAR.test>\r\nMAIL FROM:<b@near.test>\r\nRSET\r\nMAIL FROM:<>\r\n") == [
        "450 4.7.1",
        "250 2.1.0",
        "250 2.0.0",
        "250 2.1.0",
    ]


def test_recipients(worlds: Callable[..., World]) -> None:
    client = hello(worlds(rule("recipients")))
    bob = b"RCPT TO:<bob@local.test>\r\n"
    assert said(client, MAIL + ALICE + NOBODY + bob + ALICE) == [
        "250 2.1.0",
        "250 2.1.5",
        "550 5.1.1",
        "250 2.1.5",
        "450 4.7.1",
    ]


def test_unknown_recipients_end_the_session(worlds: Callable[..., World]) -> None:
    world = worlds(rule("unknown_recipients"))
    client = hello(world)
    assert said(client, MAIL + NOBODY + NOBODY + ALICE + NOBODY + ALICE) == [
        "250 2.1.0",
        "550 5.1.1",
        "550 5.1.1",
        "250 2.1.5",
        "421 4.7.0",
    ]
    assert client.half_closed
    assert said(hello(world), MAIL) == ["450 4.7.1"]
    assert said(hello(world, "192.0.2.2"), MAIL + NOBODY) == ["250 2.1.0", "550 5.1.1"]
    world.clock.pass_by(30)
    assert said(hello(world), MAIL + ALICE) == ["250 2.1.0", "250 2.1.5"]


def test_recipients_that_a_next_hop_does_not_know_count_too(worlds: Callable[..., World]) -> None:
    verifier = FakeVerifier()
    client = hello(worlds(rule("unknown_recipients", rate="1/1m"), verifier=verifier))
    client.feed(MAIL)
    client.take()
    for code in ("550 5.1.1", "421 4.7.0"):
        assert said(client, b"RCPT TO:<x@corp.test>\r\n") == []
        verifier.answer(reply.Reply(550, "1.1", "the next hop says: 550 nobody"))
        assert said(client, b"") == [code]
    assert client.half_closed


def test_a_trusted_client_never_trips_anything(worlds: Callable[..., World]) -> None:
    world = worlds(
        rule("connections", rate="1/1d"), rule("messages", rate="1/1d"), rule("unknown_recipients")
    )
    for _ in range(3):
        assert said(hello(world, FRIEND), MAIL + 5 * NOBODY) == ["250 2.1.0", *5 * ["550 5.1.1"]]


def test_an_lmtp_client_is_told_of_each_unknown_recipient(worlds: Callable[..., World]) -> None:
    client = worlds(rule("unknown_recipients"), listener={"protocol": "lmtp"}).connect()
    client.feed(b"LHLO c.test\r\n" + MAIL)
    client.take()
    assert said(client, 5 * NOBODY) == 5 * ["550 5.1.1"]


def test_clients_behind_a_front_count_and_the_front_does_not(worlds: Callable[..., World]) -> None:
    world = worlds(rule("connections", rate="2/1d"), listener={"xclient": ("192.0.2.0/24",)})
    for client, answer in (
        ("203.0.113.1", "220"),
        ("203.0.113.1", "220"),
        ("203.0.113.1", "421"),
        ("203.0.113.2", "220"),
    ):
        front = hello(world)
        front.feed(f"XCLIENT ADDR={client}\r\n".encode())
        assert front.take().decode()[:3] == answer


def test_bytes(worlds: Callable[..., World]) -> None:
    world = worlds(rule("bytes", rate="1K/1m"))
    client = hello(world)
    said(client, MAIL + ALICE + b"DATA\r\n" + 40 * (b"x" * 70 + b"\r\n") + b".\r\n")
    world.spool.commit()
    assert said(client, b"") == ["250 2.0.0"]
    assert said(client, MAIL) == ["450 4.7.1"]


def test_logins_are_slowed_then_refused_and_mail_still_comes_in(worlds: Callable[..., World]) -> None:
    world = guessed_at(worlds, "3/1h")
    client = hello(world, "127.0.0.1")
    assert said(client, plain("wrong")) == ["535 5.7.8"]
    for seconds in (1, 2):
        assert said(client, plain("wrong") + b"NOOP\r\n") == [], "commands behind it wait as well"
        ((delay, tell),) = world.later
        assert delay == pytest.approx(seconds)
        world.later.clear()
        tell()
        assert said(client, b"") == ["535 5.7.8", "250 2.0.0"]
    assert said(client, plain("secret") + b"NOOP\r\n") == ["421 4.7.0"]
    assert client.half_closed
    assert 'rejected stage=AUTH client=127.0.0.1 reply="421 4.7.0 too many failed' in world.logged()[-1]
    assert said(hello(world, "127.0.0.1"), MAIL + ALICE) == ["250 2.1.0", "250 2.1.5"]
    world.clock.pass_by(1200)
    assert said(hello(world, "127.0.0.1"), plain("secret")) == ["235 2.7.0"]


def test_a_login_in_between_forgives_nothing(worlds: Callable[..., World]) -> None:
    world = guessed_at(worlds, "2/1h")
    assert said(hello(world, "127.0.0.1"), plain("wrong")) == ["535 5.7.8"]
    assert said(hello(world, "127.0.0.1"), plain("secret")) == ["235 2.7.0"]
    assert said(hello(world, "127.0.0.1"), plain("wrong")) == [], "it waits for its refusal"
    assert said(hello(world, "127.0.0.1"), plain("secret")) == ["421 4.7.0"]


def test_guesses_at_once_over_many_connections_learn_no_more_than_the_rate(
    worlds: Callable[..., World],
) -> None:
    accounts = FakeAuthenticator(later=True)
    world = guessed_at(worlds, "3/1h", accounts)
    clients = [hello(world, "127.0.0.1") for _ in range(6)]
    passwords = ["1", "2", "3", "4", "secret", "5"]
    for client, password in zip(clients, passwords, strict=True):
        assert said(client, plain(password)) == []
    accounts.answer()
    for _, tell in world.later:
        tell()
    heard = [said(client, b"") for client in clients]
    assert heard == 3 * [["535 5.7.8"]] + 3 * [["421 4.7.0"]]


def test_whoever_waits_for_a_refusal_and_goes_hears_nothing(worlds: Callable[..., World]) -> None:
    world = guessed_at(worlds, "9/1h")
    client = hello(world, "127.0.0.1")
    said(client, plain("wrong") + plain("wrong"))
    client.lose()
    ((_, tell),) = world.later
    tell()
    assert not world.service.connections


def test_accounts(worlds: Callable[..., World]) -> None:
    world = worlds(
        rule("messages", "account", "1/1h"),
        authenticator=FakeAuthenticator({"alice@local.test": "secret"}),
        clear_on_loopback=True,
    )
    login = b"AUTH PLAIN " + base64.b64encode(b"\0alice@local.test\0secret") + b"\r\n"
    mail = b"MAIL FROM:<alice@local.test>\r\n"
    assert said(hello(world, "127.0.0.1"), login + mail) == ["235 2.7.0", "250 2.1.0"]
    client = hello(world, "127.0.0.1")
    assert said(client, login + mail) == ["235 2.7.0", "450 4.7.1"]
    assert said(hello(world, "127.0.0.1"), MAIL) == ["250 2.1.0"]
