"""What one listener's sessions obey."""

import dataclasses

import pytest

from fastsmtp.mail import reply
from fastsmtp.mail.address import Address
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp import framing, limits
from fastsmtp.smtp.rules import BODY_FAULTS, ServerRules
from fastsmtp.smtp.states import Command

RULES = ServerRules(hostname="mx.test", size=1000, recipients=3, errors=2)


def test_the_texts_that_follow_from_the_settings() -> None:
    assert RULES.greeting == b"220 mx.test ESMTP fastsmtp\r\n"
    assert RULES.hello == b"250 mx.test\r\n"
    lines = RULES.extended_hello.split(b"\r\n")
    assert lines[0] == b"250-mx.test"
    assert lines[-2].startswith(b"250 ")
    assert lines[-1] == b""
    assert b"250-SIZE 1000" in lines
    assert b"250-DSN\r\n" in RULES.extended_hello
    with pytest.raises(dataclasses.FrozenInstanceError):
        RULES.size = 1  # type: ignore[misc]


def test_every_fault_has_a_reply() -> None:
    assert BODY_FAULTS == {
        framing.TOO_BIG: reply.TOO_BIG,
        framing.BARE_LF: reply.BARE_LF,
        framing.BARE_CR: reply.BARE_CR,
    }


@pytest.mark.parametrize(
    ("argument", "found"),
    [
        (b"FROM:<a@b.test>", (Address("a", "b.test", "a@b.test"), None)),
        (b"from: <a@b.test> SIZE=1000", (Address("a", "b.test", "a@b.test"), {"SIZE": "1000"})),
        (b"FROM:<a@b.test> SIZE=1001", reply.TOO_BIG),
        (b"FROM:<postmaster>", reply.BAD_SENDER_SYNTAX),
        (b"FROM <a@b.test>", reply.BAD_SYNTAX),
        (b"", reply.BAD_SYNTAX),
        (b"\xff", reply.NOT_UTF8),
        ("FROM:<ü@b.test>".encode(), reply.NEEDS_SMTPUTF8),
        ("FROM:<a@ü.test>".encode(), reply.NEEDS_SMTPUTF8),
        (b"FROM:<a@b.test> SMTPUTF8 SIZE=2000", reply.TOO_BIG),
    ],
)
def test_mail(argument: bytes, found: object) -> None:
    assert RULES.read_mail(argument) == found


@pytest.mark.parametrize(
    ("argument", "utf8", "found"),
    [
        (b"TO:<a@b.test>", False, (Address("a", "b.test", "a@b.test"), None)),
        (
            b"to:<postmaster> NOTIFY=never",
            False,
            (Address("postmaster", "", "postmaster"), {"NOTIFY": "NEVER"}),
        ),
        (b"TO:<>", False, reply.BAD_RECIPIENT_SYNTAX),
        (b"TO:<x>", False, reply.BAD_RECIPIENT_SYNTAX),
        (b"FOR:<x>", False, reply.BAD_SYNTAX),
        (b"TO:<\xff@b.test>", True, reply.NOT_UTF8),
        ("TO:<ü@b.test>".encode(), False, reply.NEEDS_SMTPUTF8),
        ("TO:<ü@b.test>".encode(), True, (Address("ü", "b.test", "ü@b.test"), None)),
    ],
)
def test_rcpt(argument: bytes, utf8: bool, found: object) -> None:
    assert RULES.read_rcpt(argument, utf8) == found


def test_no_size_limit() -> None:
    rules = ServerRules(hostname="mx.test", size=0, recipients=3, errors=2)
    assert not isinstance(rules.read_mail(b"FROM:<a@b.test> SIZE=99999999999999999999"), Reply)


def test_limits_are_the_rfc_s_or_more() -> None:
    assert limits.LINE == 512
    assert limits.LINE_HARD == 2048
    shorter = [command for command in Command if command is not Command.AUTH]
    assert all(limits.LINE <= limits.line_limit(command) <= limits.LINE_HARD for command in shorter)
    assert limits.line_limit(Command.AUTH) == limits.AUTH_LINE == 12_288  # RFC 4954 §4
    assert limits.line_limit(Command.NOOP) == 512
    assert RULES.line_limit(Command.MAIL) == 687
    more = dataclasses.replace(RULES, secured=True, mechanisms=("PLAIN",))
    assert more.line_limit(Command.MAIL) == 687 + 500 + 11
    assert more.line_limit(Command.RCPT) == RULES.line_limit(Command.RCPT)
    assert 10**limits.CHUNK_DIGITS < 2**63
