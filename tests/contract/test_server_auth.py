"""STARTTLS, AUTH and XCLIENT: the compiled dialogue and its plain twin."""

from collections.abc import Callable
from typing import Any

import pytest

from fastsmtp.mail import reply
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp import limits
from fastsmtp.smtp.rules import ServerRules
from tests.fakes.session import CLEAR, FRONT, IMPLEMENTATIONS, NO, SECURED, Client, bytewise, converse

Make = Callable[..., Any]

EHLO = b"EHLO client.test\r\n"
MAIL = b"MAIL FROM:<a@b.test>\r\n"
RCPT = b"RCPT TO:<c@d.test>\r\n"
ASK = b"334 Z28gb24=\r\n"
IN = reply.AUTHENTICATED.wire
AGAIN = b"YXNr\r\n"  # "ask": the recording handler asks once more
LATER = b"AUTH PLAIN bGF0ZXI=\r\n"
LATER_REFUSE = b"AUTH PLAIN bGF0ZXIgcmVmdXNl\r\n"
LATER_ASK = b"AUTH PLAIN bGF0ZXIgYXNr\r\n"


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def make(request: pytest.FixtureRequest) -> Make:
    return IMPLEMENTATIONS[request.param]


def greeted(make: Make, rules: ServerRules = SECURED) -> Client:
    """A session that has said hello."""
    client = Client(make, rules)
    client.say(EHLO)
    client.handler.events.clear()
    return client


# --- what is offered when --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "there", "missing"),
    [
        (CLEAR, [b"STARTTLS"], [b"AUTH", b"REQUIRETLS", b"XCLIENT"]),
        (SECURED, [b"AUTH PLAIN SCRAM-SHA-256", b"REQUIRETLS"], [b"STARTTLS", b"XCLIENT"]),
        (FRONT, [b"STARTTLS", b"AUTH PLAIN", b"XCLIENT ADDR HELO LOGIN"], [b"REQUIRETLS"]),
    ],
)
def test_ehlo_offers_what_works_now(
    make: Make, rules: ServerRules, there: list[bytes], missing: list[bytes]
) -> None:
    lines = [line[4:] for line in Client(make, rules).say(EHLO).splitlines()]
    assert set(there) <= set(lines)
    assert not [line for line in lines if line.split()[0] in missing]


@pytest.mark.parametrize("parameter", [b"REQUIRETLS", b"AUTH=<>"])
def test_a_parameter_goes_with_its_keyword(make: Make, parameter: bytes) -> None:
    line = b"MAIL FROM:<a@b.test> " + parameter + b"\r\n"
    secured = greeted(make)
    secured.say(b"AUTH PLAIN eA==\r\n")
    assert secured.say(line) == reply.SENDER_OK.wire
    clear = ServerRules(hostname="mx.test", size=10_000, recipients=5, errors=8, starttls=True)
    assert greeted(make, clear).say(line) == reply.UNKNOWN_PARAMETER.wire


@pytest.mark.parametrize("value", [b"", b"=", b"=a=b", b"=+2g", b"=" + b"x" * 501])
def test_a_bad_auth_parameter(make: Make, value: bytes) -> None:
    said = greeted(make, FRONT).say(b"MAIL FROM:<a@b.test> AUTH" + value + b"\r\n")
    assert said in (reply.BAD_PARAMETER_VALUE.wire, reply.BAD_SYNTAX.wire)


# --- STARTTLS (RFC 3207) ---------------------------------------------------------------------------


def test_starttls_ends_this_session(make: Make) -> None:
    client = greeted(make, CLEAR)
    assert client.say(b"starttls\r\n") == b"220 2.0.0 ready to start TLS\r\n"
    assert client.protocol.upgrading
    assert client.protocol.closing
    assert not client.protocol.left
    assert client.handler.events == [("starttls",)]


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("behind", [b"NOOP\r\n", b"MAIL FROM:<a@b.test>\r\nRCPT", b"\x16\x03\x01", b"N"])
def test_what_comes_in_clear_behind_starttls_is_nobodys(make: Make, behind: bytes, cut: bool) -> None:
    client = greeted(make, CLEAR)
    whole = b"STARTTLS\r\n" + behind
    assert client.say(*(bytewise(whole) if cut else [whole])) == reply.READY_FOR_TLS.wire
    assert not client.protocol.holding
    assert client.handler.events == [("starttls",)]
    assert client.say(b"NOOP\r\n") == b""


def test_starttls_refused_for_now(make: Make) -> None:
    client = greeted(make, CLEAR)
    client.handler.no_tls = Reply(454, "7.0", "no TLS now")
    assert client.say(b"STARTTLS\r\nNOOP\r\n") == b"454 4.7.0 no TLS now\r\n" + reply.OK.wire
    assert not client.protocol.upgrading


def test_starttls_where_it_does_not_belong(make: Make) -> None:
    assert greeted(make, SECURED).say(b"STARTTLS\r\n") == reply.TLS_ACTIVE.wire
    assert Client(make, CLEAR).say(b"STARTTLS\r\n") == reply.NEED_HELLO.wire
    assert greeted(make, CLEAR).say(b"STARTTLS now\r\n") == reply.NO_PARAMETERS.wire
    assert greeted(make, FRONT).say(MAIL, b"STARTTLS\r\n").endswith(reply.NOT_IN_TRANSACTION.wire)
    assert greeted(make, CLEAR).say(b"STARTTLSX\r\n") == reply.UNKNOWN_COMMAND.wire


def test_nothing_is_taken_before_tls_where_it_is_demanded(make: Make) -> None:
    client = greeted(make, CLEAR)
    assert client.say(MAIL) == b"530 5.7.0 STARTTLS first\r\n"
    assert client.say(b"AUTH PLAIN eA==\r\n").startswith(b"538 5.7.11 ")
    assert client.say(RCPT) == reply.NEED_MAIL.wire
    assert client.say(b"NOOP\r\n") == reply.OK.wire
    assert client.handler.events == []


# --- AUTH (RFC 4954) -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "initial"),
    [(b"PLAIN eA==", b"x"), (b"plain =", b""), (b"scram-sha-256  AGEAYg== ", b"\0a\0b")],
)
def test_an_initial_response(make: Make, argument: bytes, initial: bytes) -> None:
    client = greeted(make)
    assert client.say(b"AUTH " + argument + b"\r\n") == IN
    assert client.handler.events == [("auth", argument.split()[0].decode().upper(), initial)]


def test_challenges_and_their_answers(make: Make) -> None:
    for pieces in (
        [b"AUTH PLAIN\r\n", AGAIN, b"eA==\r\n"],
        [b"AUTH PLAIN\r\n" + AGAIN + b"eA==\r\n"],
        bytewise(b"AUTH PLAIN\r\n" + AGAIN + b"eA==\r\n"),
    ):
        client = greeted(make)
        assert client.say(*pieces) == ASK + ASK + IN
        assert client.handler.events == [("auth", "PLAIN", None), ("response", b"ask"), ("response", b"x")]


def test_an_empty_answer(make: Make) -> None:
    client = greeted(make)
    assert client.say(b"AUTH PLAIN\r\n", b"\r\n") == ASK + IN
    assert client.handler.events[1] == ("response", b"")


def test_only_who_has_authenticated_may_send(make: Make) -> None:
    client = greeted(make)
    assert client.say(MAIL) == b"530 5.7.0 authentication required\r\n"
    assert client.say(b"AUTH PLAIN cmVmdXNl\r\n") == NO.wire
    assert client.say(MAIL) == reply.NEED_AUTH.wire
    assert client.say(b"AUTH PLAIN eA==\r\n") == IN
    assert client.say(MAIL) == reply.SENDER_OK.wire
    assert client.say(b"RSET\r\n", EHLO, MAIL).endswith(reply.SENDER_OK.wire)


def test_not_twice_and_not_in_a_transaction(make: Make) -> None:
    client = greeted(make, FRONT)
    assert client.say(MAIL, b"AUTH PLAIN eA==\r\n").endswith(reply.NOT_IN_TRANSACTION.wire)
    assert client.say(RCPT, b"AUTH PLAIN eA==\r\n").endswith(reply.NOT_IN_TRANSACTION.wire)
    client.say(b"RSET\r\n")
    assert client.say(b"AUTH PLAIN eA==\r\n", b"AUTH PLAIN eA==\r\n") == IN + reply.AUTH_TWICE.wire
    assert client.say(b"RSET\r\n", EHLO, b"AUTH PLAIN\r\n").endswith(reply.AUTH_TWICE.wire)
    assert Client(make, FRONT).say(b"AUTH PLAIN eA==\r\n") == reply.NEED_HELLO.wire


BAD_COMMANDS = [
    (b"AUTH", reply.BAD_SYNTAX),
    (b"AUTH  ", reply.BAD_SYNTAX),
    (b"AUTH GSSAPI", reply.AUTH_UNKNOWN),
    (b"AUTH =", reply.AUTH_UNKNOWN),
    (b"AUTH PLAIN *", reply.AUTH_NOT_BASE64),
    (b"AUTH PLAIN e", reply.AUTH_NOT_BASE64),
    (b"AUTH PLAIN eA=", reply.AUTH_NOT_BASE64),
    (b"AUTH PLAIN eA==eA==", reply.AUTH_NOT_BASE64),
    (b"AUTH PLAIN e-_=", reply.AUTH_NOT_BASE64),
    (b"AUTH PLAIN ====", reply.AUTH_NOT_BASE64),
    (b"AUTH PLAIN eA== eA==", reply.AUTH_NOT_BASE64),
    (b"AUTH PLAIN \xff", reply.EIGHT_BIT_COMMAND),
    (b"AUTH PLAIN e\0A=", reply.NUL_IN_COMMAND),
    (b"AUTHX PLAIN eA==", reply.UNKNOWN_COMMAND),
    (b"AUTH\tPLAIN", reply.UNKNOWN_COMMAND),
]


@pytest.mark.parametrize(("line", "answer"), BAD_COMMANDS)
def test_an_auth_command_at_fault(make: Make, line: bytes, answer: Reply) -> None:
    client = greeted(make)
    assert client.say(line + b"\r\n") == answer.wire
    assert client.handler.events == []
    assert client.say(b"AUTH PLAIN eA==\r\n") == IN


BAD_LINES = [
    (b"*\r\n", reply.AUTH_CANCELLED),
    (b"**\r\n", reply.AUTH_NOT_BASE64),
    (b" *\r\n", reply.AUTH_NOT_BASE64),
    (b"=\r\n", reply.AUTH_NOT_BASE64),
    (b"eA= \r\n", reply.AUTH_NOT_BASE64),
    (b"QUIT!\r\n", reply.AUTH_NOT_BASE64),
    (b"\xff\xfe\r\n", reply.AUTH_NOT_BASE64),
    (b"e\0A=\r\n", reply.NUL_IN_COMMAND),
    (b"eA==\n", reply.BARE_LINE_END),
    (b"e\rA==\r\n", reply.BARE_LINE_END),
    (b"A" * 12_288 + b"\r\n", reply.AUTH_TOO_LONG),
    (b"A" * 60_000 + b"\r\n", reply.AUTH_TOO_LONG),
]


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(("line", "answer"), BAD_LINES)
def test_an_answer_at_fault_ends_the_exchange(make: Make, line: bytes, answer: Reply, cut: bool) -> None:
    client = greeted(make)
    client.say(b"AUTH PLAIN\r\n")
    pieces = bytewise(line) if cut and len(line) < 100 else [line]
    assert client.say(*pieces) == answer.wire
    assert client.names == ["auth", "cancelled"]
    assert client.say(b"NOOP\r\n") == reply.OK.wire
    assert client.say(b"AUTH PLAIN eA==\r\n") == IN


def test_the_longest_line_of_an_exchange(make: Make) -> None:
    response = b"A" * (limits.AUTH_LINE - 4)
    for pieces in ([response + b"\r\n"], [response, b"\r\n"]):
        client = greeted(make)
        assert client.say(b"AUTH PLAIN\r\n", *pieces) == ASK + IN
    client = greeted(make)
    assert client.say(b"AUTH PLAIN\r\n", response + b"AAAA\r\n") == ASK + reply.AUTH_TOO_LONG.wire


def test_a_password_of_a_megabyte_is_not_kept(make: Make) -> None:
    for before in (b"AUTH PLAIN ", b"AUTH PLAIN\r\n"):
        client = greeted(make)
        client.only(before)
        client.only(b"A" * (limits.AUTH_LINE + 1))
        assert not client.protocol.holding
        said = b"".join(client.only(b"A" * 10_000) for _ in range(100))
        assert said == reply.LINE_TOO_LONG.wire
        assert client.protocol.closing
        assert client.names.count("cancelled") == client.names.count("auth")


def test_commands_are_none_within_an_exchange(make: Make) -> None:
    client = greeted(make)
    assert client.say(b"AUTH PLAIN\r\n", b"QUIT\r\n") == ASK + IN  # four letters are base64
    assert client.handler.events[-1] == ("response", b"A\x42\x13")
    client = greeted(make)
    assert client.say(b"AUTH PLAIN\r\n", b"RSET now\r\n") == ASK + reply.AUTH_NOT_BASE64.wire


@pytest.mark.parametrize(
    ("line", "behind", "paid"),
    [
        (LATER, b"NOOP\r\n", IN + reply.OK.wire),
        (LATER_REFUSE, b"NOOP\r\n", NO.wire + reply.OK.wire),
        (LATER_ASK, b"*\r\n", ASK + reply.AUTH_CANCELLED.wire),
        (LATER_ASK, b"eA==\r\nNOOP\r\n", ASK + IN + reply.OK.wire),
    ],
)
def test_an_outcome_that_comes_later(make: Make, line: bytes, behind: bytes, paid: bytes) -> None:
    client = greeted(make)
    assert client.only(line + behind) == b""
    assert client.protocol.waiting
    assert client.protocol.holding
    assert client.pay() == paid
    assert not client.protocol.waiting


def test_every_failure_counts(make: Make) -> None:
    client = greeted(make)
    said = client.say(b"AUTH PLAIN cmVmdXNl\r\n" * 9)
    assert said == NO.wire * 8 + reply.TOO_MANY_ERRORS.wire
    assert client.protocol.closing


@pytest.mark.parametrize("line", [b"AUTH PLAIN\r\n", LATER, LATER_ASK])
def test_the_end_of_the_session_within_an_exchange(make: Make, line: bytes) -> None:
    client = greeted(make)
    client.only(line)
    client.protocol.end()
    client.protocol.end()
    assert client.names == ["auth", "cancelled"]
    client = greeted(make)
    client.only(line)
    assert client.protocol.say_goodbye(reply.SHUTTING_DOWN) == reply.SHUTTING_DOWN.wire
    assert client.names == ["auth", "cancelled"]
    assert client.protocol.resume(None) == b""


# --- XCLIENT ---------------------------------------------------------------------------------------


def test_xclient_begins_the_session_anew(make: Make) -> None:
    client = greeted(make, FRONT)
    client.say(b"AUTH PLAIN eA==\r\n")
    client.handler.events.clear()
    line = b"xclient addr=IPV6:2001:DB8::1 Name=[UNAVAILABLE] HELO=a+2Bb PORT=25\r\n"
    assert client.say(line) == FRONT.greeting
    assert client.handler.events == [("xclient", {"ADDR": "2001:db8::1", "HELO": "a+b", "PORT": "25"})]
    assert client.say(MAIL) == reply.NEED_HELLO.wire
    assert client.say(EHLO, b"AUTH PLAIN eA==\r\n") == FRONT.extended_hello + IN
    assert client.say(MAIL) == reply.SENDER_OK.wire


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"XCLIENT", reply.BAD_SYNTAX),
        (b"XCLIENT ADDR", reply.BAD_SYNTAX),
        (b"XCLIENT FOO=1", reply.BAD_SYNTAX),
        (b"XCLIENT NAME=a NAME=b", reply.BAD_SYNTAX),
        (b"XCLIENT HELO=a+0D+0Ab", reply.BAD_SYNTAX),
        (b"XCLIENT ADDR=1.2.3", reply.BAD_PARAMETER_VALUE),
        (b"XCLIENT NAME=refuse", NO),
    ],
)
def test_xclient_at_fault(make: Make, line: bytes, answer: Reply) -> None:
    client = greeted(make, FRONT)
    assert client.say(line + b"\r\n") == answer.wire
    assert client.say(b"NOOP\r\n") == reply.OK.wire


def test_xclient_that_names_a_login_is_one(make: Make) -> None:
    client = greeted(make, FRONT)
    client.say(b"XCLIENT LOGIN=alice@example.org\r\n")
    assert client.say(EHLO, b"AUTH PLAIN eA==\r\n") == FRONT.extended_hello + reply.AUTH_TWICE.wire
    client.say(b"XCLIENT LOGIN= ADDR=192.0.2.1\r\n")
    assert client.say(EHLO, b"AUTH PLAIN eA==\r\n") == FRONT.extended_hello + IN


def test_xclient_is_unknown_to_strangers(make: Make) -> None:
    said, events, _ = converse(make, [EHLO, b"XCLIENT ADDR=192.0.2.1\r\n"], SECURED)
    assert said == SECURED.extended_hello + reply.UNKNOWN_COMMAND.wire
    assert len(events) == 1
