"""Who may send what to whom by which listener, every cell; and who may say so for others."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fastsmtp.mail import reply
from fastsmtp.mail.reply import Reply
from fastsmtp.session.listener_settings import ListenerSettings
from fastsmtp.session.profile import PROFILES
from fastsmtp.tls.store import CertificateStore
from tests.fakes.accounts import FakeAuthenticator
from tests.fakes.service import World
from tests.fakes.tls_session import TlsSession
from tests.fakes.transport import FakeTransport
from tests.tools.tls_pairs import store_for

STRANGER, TRUSTED = "192.0.2.1", "198.51.100.7"
PLAIN = b"AUTH PLAIN AGFsaWNlQGxvY2FsLnRlc3QAc2VjcmV0\r\n"  # alice@local.test, secret
OK, DENIED = reply.RECIPIENT_OK, reply.RELAY_DENIED

Say = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CertificateStore:
    return store_for(tmp_path_factory.mktemp("pairs"))


@pytest.fixture
def worlds(store: CertificateStore) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(
        protocol: str = "smtp",
        *,
        clear_on_loopback: bool = False,
        future_release: int = 0,
        **listener: Any,
    ) -> World:
        world = World(
            listener={"protocol": protocol, **listener},
            certificates=store,
            authenticator=FakeAuthenticator({"alice@local.test": "secret"}),
            clear_on_loopback=clear_on_loopback,
            aliases={
                "sales@local.test": ("alice@local.test",),
                "team@local.test": ("alice@local.test", "bob@local.test"),
            },
            errors=50,
            future_release=future_release,
        )
        made.append(world)
        return world

    yield make
    for world in made:
        world.close()


def clear(transport: FakeTransport) -> Say:
    def say(data: bytes) -> bytes:
        transport.feed(data)
        return transport.take()

    return say


def greeted(world: World, who: str, ip: str = STRANGER) -> Say:
    """A session of ``who``: in ``clear``, under ``tls``, or as ``alice`` under TLS."""
    transport = world.connect(ip)
    profile = world.service.listeners[0].profile
    hello = b"LHLO x\r\n" if profile.lmtp else b"EHLO x\r\n"
    if who == "clear" and not profile.implicit_tls:
        say = clear(transport)
    else:
        if not profile.implicit_tls:
            transport.feed(hello + b"STARTTLS\r\n")
            transport.take()
        session = TlsSession(transport)
        session.begin()
        say = session.say
    transport.take()
    say(hello)
    if who == "alice":
        assert say(PLAIN) == reply.AUTHENTICATED.wire
    return say


FOREIGN = [
    b"<x@far.test>",
    b"<x%far.test@far2.test>",
    b"<far.test!x@far2.test>",
    b"<@local.test:x@far.test>",
    b"<@local.test,@far.test:x@far.test>",
    b'<"x@far.test"@far2.test>',
    b"<x@[192.0.2.9]>",
    b"<x@local.test.far.test>",
    b"<x@xlocal.test>",
]
"""What would make an open relay."""
ODD = [
    b"<x%far.test@local.test>",
    b"<far.test!x@local.test>",
    b'<"x@far.test"@local.test>',
    b"<nobody@local.test>",
]
"""Of our domain, and nobody there."""
OURS = [
    b"<alice@local.test>",
    b"<@far.test:alice@local.test>",
    b"<alice+tag@LOCAL.test>",
    b'<"alice"@local.test>',
]

MAIL_GATE = {
    ("smtp", "clear"): None,
    ("smtp", "tls"): None,
    ("smtp", "alice"): None,
    ("submission", "clear"): reply.NEED_TLS,
    ("submission", "tls"): reply.NEED_AUTH,
    ("submission", "alice"): None,
    ("submissions", "tls"): reply.NEED_AUTH,
    ("submissions", "alice"): None,
    ("lmtp", "clear"): None,
    ("lmtp", "tls"): None,
}


@pytest.mark.parametrize("ip", [STRANGER, TRUSTED])
@pytest.mark.parametrize(("protocol", "who"), MAIL_GATE)
def test_who_by_which_listener_to_whom(
    worlds: Callable[..., World], protocol: str, who: str, ip: str
) -> None:
    world = worlds(protocol)
    say = greeted(world, who, ip)
    gate = MAIL_GATE[protocol, who]
    assert say(b"MAIL FROM:<alice@local.test>\r\n") == (gate or reply.SENDER_OK).wire
    if gate is not None:
        assert say(b"RCPT TO:<alice@local.test>\r\n") == reply.NEED_MAIL.wire
        return
    relays = protocol != "lmtp" and (who == "alice" or ip == TRUSTED)
    for recipient in FOREIGN:
        said = say(b"RCPT TO:" + recipient + b"\r\n")
        assert said == (OK if relays else DENIED).wire, recipient
        if relays:
            say(b"RSET\r\nMAIL FROM:<alice@local.test>\r\n")
    for recipient in ODD:
        assert say(b"RCPT TO:" + recipient + b"\r\n") == reply.MAILBOX_UNKNOWN.wire, recipient
    for recipient in OURS:
        say(b"RSET\r\nMAIL FROM:<alice@local.test>\r\n")
        assert say(b"RCPT TO:" + recipient + b"\r\n") == OK.wire, recipient
    assert say(
        "RSET\r\nMAIL FROM:<alice@local.test> SMTPUTF8\r\nRCPT TO:<x@lоcal.test>\r\n".encode()
    ).endswith((OK if relays else DENIED).wire), "a look-alike of our domain"


@pytest.mark.parametrize(
    ("sender", "answer"),
    [
        (b"<alice@local.test>", reply.SENDER_OK),
        (b"<alice+tag@local.test>", reply.SENDER_OK),
        (b"<sales@local.test>", reply.SENDER_OK),
        (b"<>", reply.SENDER_OK),
        (b"<team@local.test>", reply.NOT_YOUR_ADDRESS),
        (b"<bob@local.test>", reply.NOT_YOUR_ADDRESS),
        (b"<alice@far.test>", reply.NOT_YOUR_ADDRESS),
        (b"<nobody@local.test>", reply.NOT_YOUR_ADDRESS),
    ],
)
@pytest.mark.parametrize("protocol", ["smtp", "submission", "submissions"])
def test_only_ones_own_addresses(
    worlds: Callable[..., World], protocol: str, sender: bytes, answer: Reply
) -> None:
    assert greeted(worlds(protocol), "alice")(b"MAIL FROM:" + sender + b"\r\n") == answer.wire


def test_in_clear_on_loopback_where_that_is_allowed(worlds: Callable[..., World]) -> None:
    for ip, allowed in (("127.0.0.1", True), (STRANGER, False)):
        world = worlds("submission", clear_on_loopback=True)
        transport = world.connect(ip)
        transport.take()
        say = clear(transport)
        assert (b"250-AUTH" in say(b"EHLO x\r\n")) == allowed
        assert (
            say(b"MAIL FROM:<alice@local.test>\r\n") == (reply.NEED_AUTH if allowed else reply.NEED_TLS).wire
        )
        assert say(PLAIN) == (reply.AUTHENTICATED if allowed else reply.AUTH_NEEDS_TLS).wire


def test_what_a_wrong_password_and_an_unknown_user_hear(worlds: Callable[..., World]) -> None:
    say = greeted(worlds("submissions"), "tls")
    wrong = say(b"AUTH PLAIN AGFsaWNlQGxvY2FsLnRlc3QAd3Jvbmc=\r\n")
    unknown = say(b"AUTH PLAIN AG5vYm9keUBsb2NhbC50ZXN0AHdyb25n\r\n")
    assert wrong == unknown == reply.AUTH_REFUSED.wire


def test_who_has_gone_hears_nothing(worlds: Callable[..., World]) -> None:
    world = worlds("submissions")
    authenticator = world.service.listeners[0].logins.authenticator  # type: ignore[union-attr]
    assert isinstance(authenticator, FakeAuthenticator)
    authenticator.later = True
    transport = world.connect()
    session = TlsSession(transport)
    session.begin()
    session.say(b"EHLO x\r\n")
    assert session.say(PLAIN) == b""
    transport.lose()
    authenticator.answer()
    assert not world.service.connections


def test_a_login_that_waits_is_cut_off_by_a_stop(worlds: Callable[..., World]) -> None:
    world = worlds("submissions")
    authenticator = world.service.listeners[0].logins.authenticator  # type: ignore[union-attr]
    assert isinstance(authenticator, FakeAuthenticator)
    authenticator.later = True
    session = TlsSession(world.connect())
    session.begin()
    session.say(b"EHLO x\r\n" + PLAIN)
    (connection,) = world.service.connections
    connection.say_goodbye(reply.SHUTTING_DOWN)
    assert session.hear() == reply.SHUTTING_DOWN.wire
    authenticator.answer()
    assert session.hear() == b""


# --- what becomes of the message -------------------------------------------------------------------


def stored(world: World) -> tuple[str, bytes]:
    while world.spool.waiting:
        world.spool.commit()
    envelope, whole = world.spool.stored[-1]
    return envelope.protocol, whole


def send(say: Say, body: bytes) -> None:
    assert say(b"MAIL FROM:<alice@local.test>\r\nRCPT TO:<bob@local.test>\r\nDATA\r\n").endswith(
        reply.SEND_DATA.wire
    )
    say(body + b".\r\n")


@pytest.mark.parametrize(
    ("protocol", "who", "name"),
    [
        ("smtp", "clear", "ESMTP"),
        ("smtp", "tls", "ESMTPS"),
        ("submission", "alice", "ESMTPSA"),
        ("submissions", "alice", "ESMTPSA"),
        ("lmtp", "clear", "LMTP"),
        ("lmtp", "tls", "LMTPS"),
    ],
)
def test_the_name_of_the_protocol(worlds: Callable[..., World], protocol: str, who: str, name: str) -> None:
    world = worlds(protocol)
    send(greeted(world, who), b"x\r\n")
    got, whole = stored(world)
    assert got == name
    assert f"(fastsmtp) with {name} id ".encode() in whole


def test_missing_fields_are_added_for_users_alone(worlds: Callable[..., World]) -> None:
    for protocol, who, added in (("submission", "alice", True), ("smtp", "alice", False)):
        world = worlds(protocol)
        send(greeted(world, who), b"Subject: x\r\n\r\nx\r\n")
        whole = stored(world)[1]
        assert (b"\r\nMessage-ID: <ID00000001@mx.test>\r\nDate: " in whole) == added
        assert whole.endswith(b"Subject: x\r\n\r\nx\r\n")


def test_the_client_is_hidden_by_choice(worlds: Callable[..., World]) -> None:
    for hide in (False, True):
        world = worlds("submission", hide_client=hide)
        send(greeted(world, "alice"), b"x\r\n")
        whole = stored(world)[1]
        assert (STRANGER.encode() not in whole) == hide
        assert world.spool.stored[-1][0].client_ip == STRANGER


def test_requiretls_is_kept_with_the_envelope(worlds: Callable[..., World]) -> None:
    """RFC 8689 §2: known under TLS alone."""
    world = worlds()
    say = greeted(world, "tls")
    line = b"MAIL FROM:<a@b.test> REQUIRETLS\r\n"
    assert say(line) == reply.SENDER_OK.wire
    say(b"RCPT TO:<bob@local.test>\r\nDATA\r\n")
    say(b"x\r\n.\r\n")
    stored(world)
    assert world.spool.stored[-1][0].params == {"REQUIRETLS": ""}
    assert greeted(worlds(), "clear")(line) == reply.UNKNOWN_PARAMETER.wire


# --- FUTURERELEASE (RFC 4865) ------------------------------------------------------------------


def offers(say: Say) -> bytes:
    """What EHLO says of FUTURERELEASE."""
    return b"".join([line[4:] for line in say(b"EHLO x\r\n").splitlines() if b"FUTURERELEASE" in line])


@pytest.mark.parametrize("protocol", ["submission", "submissions"])
def test_users_may_say_when_their_mail_goes_out(worlds: Callable[..., World], protocol: str) -> None:
    world = worlds(protocol, future_release=86_400)
    assert offers(greeted(world, "alice")) == b"FUTURERELEASE 86400 2023-11-15T22:13:00Z"
    world.clock.pass_by(150)
    assert offers(greeted(world, "tls")) == b"FUTURERELEASE 86400 2023-11-15T22:15:00Z"


@pytest.mark.parametrize(
    ("protocol", "who", "longest"),
    [
        ("submission", "clear", 86_400),
        ("submission", "alice", 0),
        ("smtp", "clear", 86_400),
        ("smtp", "alice", 86_400),
    ],
)
def test_where_nobody_may(worlds: Callable[..., World], protocol: str, who: str, longest: int) -> None:
    say = greeted(worlds(protocol, future_release=longest), who)
    assert offers(say) == b""
    if who == "alice":
        assert say(b"MAIL FROM:<alice@local.test> HOLDFOR=60\r\n") == reply.UNKNOWN_PARAMETER.wire


@pytest.mark.parametrize(
    ("wish", "taken"),
    [
        (b"HOLDFOR=86400", True),
        (b"HOLDFOR=86401", False),
        (b"HOLDFOR=999999999", False),
        (b"HOLDUNTIL=2023-11-15T22:13:20Z", True),
        (b"HOLDUNTIL=2023-11-15T22:13:21Z", False),
        (b"HOLDUNTIL=2023-11-15T23:13:20+01:00", True),
        (b"HOLDUNTIL=9999-12-31T23:59:59Z", False),
        (b"HOLDUNTIL=1999-12-31T23:59:59Z", True),
    ],
)
def test_how_far_ahead(worlds: Callable[..., World], wish: bytes, taken: bool) -> None:
    say = greeted(worlds("submission", future_release=86_400), "alice")
    answer = say(b"MAIL FROM:<alice@local.test> " + wish + b"\r\n")
    assert answer == (reply.SENDER_OK if taken else reply.HELD_TOO_LONG).wire
    assert reply.HELD_TOO_LONG.wire.startswith(b"554 5.5.4 ")


def test_what_is_held_waits_in_the_queue_for_other_hosts(worlds: Callable[..., World]) -> None:
    world = worlds("submission", future_release=86_400)
    say = greeted(world, "alice")
    say(b"MAIL FROM:<alice@local.test> HOLDFOR=60\r\n")
    for to in (b"<bob+tag@local.test> NOTIFY=NEVER", b"<sales@local.test>", b"<x@far.test>"):
        assert say(b"RCPT TO:" + to + b"\r\n") == reply.RECIPIENT_OK.wire
    say(b"DATA\r\nx\r\n.\r\n")
    stored(world)
    envelope = world.spool.stored[-1][0]
    assert envelope.params == {"HOLDFOR": "60"}
    assert [(one.address, one.mailbox, one.params, one.original) for one in envelope.recipients] == [
        ("bob+tag@local.test", "", {"NOTIFY": "NEVER"}, None),
        ("alice@local.test", "", None, "sales@local.test"),
        ("x@far.test", "", None, None),
    ]
    send(say, b"y\r\n")
    stored(world)
    assert world.spool.stored[-1][0].recipients[0].mailbox == "bob@local.test"


# --- proxies and XCLIENT ---------------------------------------------------------------------------

V1 = b"PROXY TCP4 203.0.113.9 192.0.2.2 4711 25\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + bytes([203, 0, 113, 9, 192, 0, 2, 2]) + b"\x12\x67\x00\x19"
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"


@pytest.mark.parametrize(
    ("header", "client"),
    [(V1, "203.0.113.9"), (V2, "203.0.113.9"), (LOCAL, "10.0.0.1"), (b"PROXY UNKNOWN\r\n", "10.0.0.1")],
)
@pytest.mark.parametrize("cut", [False, True])
def test_a_proxy_says_for_whom_it_comes(
    worlds: Callable[..., World], header: bytes, client: str, cut: bool
) -> None:
    world = worlds(proxy=("10.0.0.0/8",))
    transport = world.connect("10.0.0.1")
    assert transport.take() == b"", "no greeting before the header"
    for piece in [header[i : i + 1] for i in range(len(header))] if cut else [header]:
        transport.feed(piece)
    assert transport.take().startswith(b"220 ")
    say = clear(transport)
    say(b"EHLO x\r\n")
    send(say, b"x\r\n")
    stored(world)
    assert world.spool.stored[-1][0].client_ip == client
    transport.lose()
    assert not world.service.connections


def test_a_proxy_in_front_of_tls(worlds: Callable[..., World]) -> None:
    """The ClientHello comes in one packet with the header."""
    world = worlds("submissions", proxy=("10.0.0.0/8",))
    transport = world.connect("10.0.0.1")
    session = TlsSession(transport)
    try:
        session.object.do_handshake()
    except Exception:  # it wants to read
        pass
    transport.feed(V2 + session._out.read())
    assert session.begin().startswith(b"220 ")


def test_much_behind_a_header_goes_by_a_buffer_that_does_not_grow(worlds: Callable[..., World]) -> None:
    world = worlds("submissions", proxy=("10.0.0.0/8",))
    transport = world.connect("10.0.0.1")
    size = len(world.service.cipher)
    transport.feed(V1 + b"x" * (2 * size))
    assert transport.closing
    assert len(world.service.cipher) == size


@pytest.mark.parametrize(
    "header",
    [
        b"EHLO x\r\n",
        b"PROXY TCP4 203.0.113.9\r\n",
        b"PROXY TCP6 203.0.113.9 192.0.2.2 4711 25\r\n",
        b"PROXY TCP4 far.test 192.0.2.2 4711 25\r\n",
        b"PROXY " + b"x" * 200,
        V2[:12] + b"\x31" + V2[13:],
        V2[:14] + b"\x00\x04" + V2[16:],
        V2[:14] + b"\xff\xff",
    ],
)
def test_a_proxy_that_says_nothing_of_use(worlds: Callable[..., World], header: bytes) -> None:
    world = worlds(proxy=("10.0.0.0/8",))
    transport = world.connect("10.0.0.1")
    transport.feed(header)
    assert transport.aborted
    assert transport.take() == b""
    transport.lose()
    assert not world.service.connections
    assert any(line.startswith('closed client=10.0.0.1 reason="of a proxy: ') for line in world.logged())


@pytest.mark.parametrize("header", [V1, V2])
def test_a_header_of_a_stranger_is_refused(worlds: Callable[..., World], header: bytes) -> None:
    transport = worlds(proxy=("10.0.0.0/8",)).connect(STRANGER)
    transport.take()
    transport.feed(header)
    assert transport.take() == reply.NOT_SMTP.wire
    assert transport.half_closed


def test_a_proxy_that_is_silent(worlds: Callable[..., World]) -> None:
    world = worlds(proxy=("10.0.0.0/8",))
    transport = world.connect("10.0.0.1")
    for octet in V2[:-1]:
        transport.feed(bytes([octet]))
        world.seconds(1)
    world.seconds(61 - len(V2))
    assert not transport.aborted
    world.seconds(1)
    assert transport.aborted


def test_a_client_that_talks_before_the_banner_behind_a_proxy(worlds: Callable[..., World]) -> None:
    transport = worlds(proxy=("10.0.0.0/8",)).connect("10.0.0.1")
    transport.feed(V1 + b"EHLO x\r\n")
    assert reply.EARLY_TALK.wire in transport.take()


def test_xclient_from_those_who_may(worlds: Callable[..., World]) -> None:
    world = worlds(xclient=("10.0.0.7",))
    transport = world.connect("10.0.0.7")
    say = clear(transport)
    transport.take()
    assert b"250-XCLIENT ADDR HELO LOGIN\r\n" in say(b"EHLO x\r\n")
    assert say(b"XCLIENT ADDR=203.0.113.9 NAME=client.test\r\n") == b"220 mx.test ESMTP fastsmtp\r\n"
    say(b"EHLO y\r\n")
    send(say, b"x\r\n")
    stored(world)
    assert world.spool.stored[-1][0].client_ip == "203.0.113.9"
    transport.lose()


def test_xclient_names_the_client_to_those_who_read_received(worlds: Callable[..., World]) -> None:
    world = worlds(xclient=("10.0.0.7",))
    say = clear(world.connect("10.0.0.7"))
    say(b"XCLIENT ADDR=203.0.113.9 HELO=client.test PORT=4711 PROTO=SMTP\r\n")
    say(b"EHLO proxy.test\r\n")
    send(say, b"x\r\n")
    stored(world)
    assert world.spool.stored[-1][0].helo == "client.test"
    say(b"XCLIENT ADDR=203.0.113.10\r\n")
    say(b"EHLO proxy.test\r\n")
    send(say, b"x\r\n")
    stored(world)
    assert world.spool.stored[-1][0].helo == "proxy.test", "nothing is left of the client before"


@pytest.mark.parametrize("protocol", ["smtp", "submission"])
def test_xclient_names_who_has_logged_in(worlds: Callable[..., World], protocol: str) -> None:
    world = worlds(protocol, xclient=("10.0.0.7",))
    transport = world.connect("10.0.0.7")
    transport.take()
    say = clear(transport)
    assert say(b"XCLIENT ADDR=203.0.113.9 LOGIN=alice\r\n") == reply.BAD_PARAMETER_VALUE.wire
    say(b"XCLIENT ADDR=203.0.113.9 LOGIN=Alice@LOCAL.test\r\n")
    say(b"EHLO x\r\n")
    assert say(b"MAIL FROM:<bob@local.test>\r\n") == reply.NOT_YOUR_ADDRESS.wire
    assert say(b"MAIL FROM:<alice@local.test>\r\n").startswith(b"250 ")
    assert say(b"RCPT TO:<x@far.test>\r\n").startswith(b"250 "), "it may send everywhere"
    assert "authenticated client=203.0.113.9 mechanism=XCLIENT login=alice@local.test" in world.logged()
    say(b"RSET\r\n")
    say(b"XCLIENT ADDR=203.0.113.9 LOGIN=[UNAVAILABLE]\r\n")
    say(b"EHLO x\r\n")
    if protocol == "smtp":
        say(b"MAIL FROM:<alice@local.test>\r\n")
        assert say(b"RCPT TO:<x@far.test>\r\n") == reply.RELAY_DENIED.wire
    else:
        assert say(b"MAIL FROM:<alice@local.test>\r\n").startswith(b"530 ")


def test_no_login_where_there_is_none(worlds: Callable[..., World]) -> None:
    say = clear(worlds("lmtp", xclient=("10.0.0.7",)).connect("10.0.0.7"))
    assert b"250-XCLIENT ADDR HELO\r\n" in say(b"LHLO x\r\n")
    assert say(b"XCLIENT LOGIN=alice@local.test\r\n") == reply.BAD_PARAMETER_VALUE.wire


def test_xclient_of_a_client_that_may_not_come(worlds: Callable[..., World]) -> None:
    world = World(listener={"xclient": ("10.0.0.7",)}, connections_per_ip=1)
    first = world.connect("203.0.113.9")
    transport = world.connect("10.0.0.7")
    transport.take()
    transport.feed(b"XCLIENT ADDR=203.0.113.9\r\n")
    assert transport.take() == reply.TOO_MANY_FROM_HOST.wire
    transport.lose()
    first.lose()
    guard = world.guard.worker(0)
    assert guard.enter("203.0.113.9") is None
    assert guard.enter("10.0.0.7") is None
    world.close()


# --- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"address": "x"}, "address"),
        ({"address": "127.0.0.1:25", "proxy": ("10.0.0.1/8",)}, "proxy"),
        ({"address": "127.0.0.1:25", "xclient": ("far.test",)}, "xclient"),
    ],
)
def test_a_listener_that_cannot_be(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}: "):
        ListenerSettings(**wrong)


def test_every_protocol_has_a_profile() -> None:
    for name, profile in PROFILES.items():
        assert ListenerSettings(address="127.0.0.1:25", protocol=name).profile is profile
