"""STARTTLS and TLS from the start, over a connection in memory."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastsmtp.mail import reply
from fastsmtp.session.service import SessionService
from fastsmtp.smtp import limits
from fastsmtp.tls.store import CertificateStore
from tests.fakes.accounts import FakeAuthenticator
from tests.fakes.service import World
from tests.fakes.tls_session import TlsSession
from tests.fakes.transport import FakeTransport
from tests.tools.tls_pairs import store_for

EHLO = b"EHLO client.test\r\n"
MAIL = b"MAIL FROM:<a@b.test>\r\nRCPT TO:<alice@local.test>\r\nDATA\r\n"
PLAIN = b"AUTH PLAIN AGFsaWNlQGxvY2FsLnRlc3QAc2VjcmV0\r\n"  # alice@local.test, secret


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CertificateStore:
    return store_for(tmp_path_factory.mktemp("pairs"))


@pytest.fixture
def worlds(store: CertificateStore) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(protocol: str = "smtp", **more: object) -> World:
        world = World(
            listener={"protocol": protocol},
            certificates=store,
            authenticator=FakeAuthenticator({"alice@local.test": "secret"}),
            **more,  # type: ignore[arg-type]
        )
        made.append(world)
        return world

    yield make
    for world in made:
        world.close()


def upgraded(world: World, behind: bytes = b"") -> TlsSession:
    """A session that has begun TLS, with ``behind`` sent in clear behind STARTTLS."""
    transport = world.connect()
    transport.take()
    transport.feed(EHLO)
    assert b"250-STARTTLS\r\n" in transport.take()
    transport.feed(b"STARTTLS\r\n" + behind)
    assert transport.take() == reply.READY_FOR_TLS.wire
    session = TlsSession(transport)
    assert session.begin() == b"", "nobody greets twice"
    return session


def commit(world: World) -> None:
    while world.spool.waiting:
        world.spool.commit()


@pytest.mark.parametrize(
    "behind", [b"", b"NOOP\r\n", b"MAIL FROM:<evil@b.test>\r\nRCPT TO:<alice@local.test>\r\n"]
)
def test_nothing_of_the_clear_session_is_left(worlds: Callable[..., World], behind: bytes) -> None:
    """RFC 3207 §4.2, and commands injected before the handshake."""
    world = worlds()
    session = upgraded(world, behind)
    assert session.say(b"MAIL FROM:<a@b.test>\r\n") == reply.NEED_HELLO.wire
    lines = session.say(EHLO)
    assert b"STARTTLS" not in lines
    assert b"250-REQUIRETLS\r\n" in lines
    assert b"250-AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN\r\n" in lines
    assert session.say(b"STARTTLS\r\n") == reply.TLS_ACTIVE.wire
    assert session.say(MAIL).endswith(reply.SEND_DATA.wire)
    session.say(b"x\r\n.\r\n")
    commit(world)
    assert session.hear().startswith(b"250 2.0.0 queued")
    envelope, whole = world.spool.stored[0]
    assert envelope.sender == "a@b.test"
    assert envelope.protocol == "ESMTPS"
    assert (
        b"\r\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256 bits))\r\n\tby mx.test (fastsmtp)"
        in whole
    )


def test_starttls_behind_a_message_that_is_still_to_be_stored(worlds: Callable[..., World]) -> None:
    """The last of a pipelined group (RFC 2920 §3.1)."""
    world = worlds()
    transport = world.connect()
    transport.feed(EHLO + MAIL)
    transport.feed(b"x\r\n.\r\nSTARTTLS\r\n")
    assert not transport.reading
    commit(world)
    assert transport.take().endswith(reply.READY_FOR_TLS.wire)
    session = TlsSession(transport)
    assert session.begin() == b""
    assert session.say(EHLO).startswith(b"250-")


def test_starttls_behind_more_replies_than_are_written_at_once(
    worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    later: list[Callable[[], None]] = []
    monkeypatch.setattr(SessionService, "call_later", staticmethod(lambda delay, call: later.append(call)))
    transport = worlds().connect()
    transport.feed(EHLO)
    transport.feed(b"NOOP\r\n" * (limits.OUTPUT // len(reply.OK.wire) + 1) + b"STARTTLS\r\n")
    assert not transport.reading
    while later:
        later.pop()()
    assert transport.take().endswith(reply.READY_FOR_TLS.wire)
    session = TlsSession(transport)
    assert session.begin() == b""
    assert session.say(EHLO).startswith(b"250-")


def test_no_certificate_no_starttls() -> None:
    world = World()
    transport = world.connect()
    transport.take()
    transport.feed(EHLO)
    assert b"STARTTLS" not in transport.take()
    transport.feed(b"STARTTLS\r\n")
    assert transport.take() == reply.UNKNOWN_COMMAND.wire
    world.close()


def test_tls_from_the_start(worlds: Callable[..., World]) -> None:
    world = worlds("submissions")
    transport = world.connect()
    assert transport.take() == b""
    session = TlsSession(transport)
    assert session.begin() == b"220 mx.test ESMTP fastsmtp\r\n"
    assert b"AUTH" in session.say(EHLO)
    assert session.say(b"MAIL FROM:<alice@local.test>\r\n") == reply.NEED_AUTH.wire
    assert session.say(PLAIN) == reply.AUTHENTICATED.wire
    assert session.say(b"MAIL FROM:<alice@local.test>\r\nRCPT TO:<x@far.test>\r\nDATA\r\n").endswith(
        reply.SEND_DATA.wire
    )
    session.say(b"Subject: x\r\n\r\nx\r\n.\r\n")
    commit(world)
    assert session.hear().startswith(b"250 ")
    assert world.spool.stored[0][0].protocol == "ESMTPSA"
    assert session.say(b"QUIT\r\n") == reply.BYE.wire
    assert transport.closing


def test_a_client_in_clear_where_tls_is_from_the_start(worlds: Callable[..., World]) -> None:
    world = worlds("submissions")
    transport = world.connect()
    transport.feed(EHLO)
    assert transport.closing
    assert b"250" not in transport.take()
    assert any("TLS handshake" in line for line in world.logged())
    transport.lose()
    assert not world.service.connections


def test_clear_text_behind_the_handshake_is_answered_once(worlds: Callable[..., World]) -> None:
    """What comes in one packet with the handshake's end belongs to the session under TLS."""
    world = worlds()
    transport = world.connect()
    transport.feed(EHLO + b"STARTTLS\r\n")
    transport.take()
    assert TlsSession(transport).begin(EHLO).startswith(b"250-mx.test\r\n")


def test_the_end_of_a_session_under_tls(
    worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Callable[[], object]] = []
    monkeypatch.setattr(SessionService, "call_later", staticmethod(lambda delay, call: calls.append(call)))
    session = upgraded(worlds())
    session.end()
    for call in calls:
        call()
    assert session.transport.closing


@pytest.mark.parametrize("protocol", ["smtp", "submissions"])
def test_a_handshake_that_does_not_come_to_its_end(worlds: Callable[..., World], protocol: str) -> None:
    """Octets of it, one a second, do not make it last longer."""
    world = worlds(protocol)
    transport = world.connect()
    if protocol == "smtp":
        transport.feed(EHLO + b"STARTTLS\r\n")
        transport.take()
    client = TlsSession(FakeTransport(transport.protocol))
    with pytest.raises(ssl.SSLWantReadError):
        client.object.do_handshake()
    hello = client.pending()
    for octet in hello[:59]:
        transport.feed(bytes([octet]))
        world.seconds(1)
    assert not transport.closing
    world.seconds(2)
    assert transport.aborted
    assert transport.take() == b"", "nothing is said in clear"


def test_records_that_say_nothing_do_not_keep_a_session_alive(worlds: Callable[..., World]) -> None:
    world = worlds()
    session = upgraded(world)
    session.say(EHLO)
    world.seconds(299)
    session.object.write(b"NOOP\r\n")
    record = session.pending()
    for octet in record[:2]:
        session.transport.feed(bytes([octet]))
        world.seconds(1)
    assert session.hear() == reply.TIMEOUT.wire


def test_shutting_down_within_a_handshake(worlds: Callable[..., World]) -> None:
    world = worlds()
    transport = world.connect()
    transport.feed(EHLO + b"STARTTLS\r\n")
    transport.take()
    asyncio.run(world.service.drain(0))
    assert transport.closing
    assert transport.take() == b""


def test_what_is_demanded_before_tls(worlds: Callable[..., World]) -> None:
    world = worlds("submission")
    transport = world.connect()
    transport.take()
    transport.feed(EHLO)
    assert b"AUTH" not in transport.take()
    transport.feed(b"MAIL FROM:<alice@local.test>\r\n")
    assert transport.take() == reply.NEED_TLS.wire
    transport.feed(PLAIN)
    assert transport.take() == reply.AUTH_NEEDS_TLS.wire


def test_the_second_half_of_a_handshake_is_rubbish(worlds: Callable[..., World]) -> None:
    world = worlds()
    transport = world.connect()
    transport.feed(EHLO + b"STARTTLS\r\n")
    transport.take()
    transport.feed(b"\x16\x03\x01\x00\x05hello")
    assert transport.closing
    transport.lose()
    assert not world.service.connections
    assert world.guard.worker(0).enter("192.0.2.1") is None


def test_many_records_at_once(worlds: Callable[..., World]) -> None:
    session = upgraded(worlds())
    session.say(EHLO)
    assert session.say(b"NOOP\r\n" * 2000) == reply.OK.wire * 2000


def test_records_of_one_octet(worlds: Callable[..., World]) -> None:
    session = upgraded(worlds())
    session.say(EHLO)
    for octet in b"NOOP\r\n" * 500:
        session.object.write(bytes([octet]))
    assert session.hear() == reply.OK.wire * 500


def test_a_client_may_not_begin_again(worlds: Callable[..., World]) -> None:
    session = upgraded(worlds())
    assert isinstance(session.object, ssl.SSLObject)
    assert session.say(EHLO + b"STARTTLS\r\nNOOP\r\n").endswith(reply.TLS_ACTIVE.wire + reply.OK.wire)


def feed_all(transport: FakeTransport, pieces: list[bytes]) -> bytes:
    for piece in pieces:
        transport.feed(piece)
    return transport.take()


def test_starttls_byte_by_byte(worlds: Callable[..., World], tmp_path: Path) -> None:
    transport = worlds().connect()
    transport.take()
    text = EHLO + b"STARTTLS\r\n"
    assert feed_all(transport, [text[i : i + 1] for i in range(len(text))]).endswith(reply.READY_FOR_TLS.wire)
    assert TlsSession(transport).begin(EHLO).startswith(b"250-")
