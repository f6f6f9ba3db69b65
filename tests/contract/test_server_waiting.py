"""Answers that come later, sessions that end meanwhile: the compiled dialogue and its plain twin."""

from collections.abc import Callable
from typing import Any

import pytest

from fastsmtp.mail import reply
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp import limits
from fastsmtp.smtp.rules import ServerRules
from tests.fakes.session import IMPLEMENTATIONS, NO, NOT_NOW, STORED, Client

Make = Callable[..., Any]

EHLO = b"EHLO client.test\r\n"
MAIL = b"MAIL FROM:<a@b.test>\r\n"
RCPT = b"RCPT TO:<c@d.test>\r\n"
LATE_DATA = EHLO + b"MAIL FROM:<laterdata@b.test>\r\n" + RCPT
REFUSED_DATA = EHLO + b"MAIL FROM:<laterrefusedata@b.test>\r\n" + RCPT

STAGES: dict[str, tuple[bytes, bytes]] = {
    "mail": (EHLO, b"MAIL FROM:<later@b.test>\r\n"),
    "rcpt": (EHLO + MAIL, b"RCPT TO:<later@d.test>\r\n"),
    "second rcpt": (EHLO + MAIL + RCPT, b"RCPT TO:<later@d.test>\r\n"),
    "data": (LATE_DATA, b"DATA\r\n"),
    "bdat": (LATE_DATA, b"BDAT 5\r\n"),
    "bdat last": (LATE_DATA, b"BDAT 0 LAST\r\n"),
    "body": (LATE_DATA + b"DATA\r\n", b"x\r\n.\r\n"),
    "chunks": (LATE_DATA + b"BDAT 1\r\nx", b"BDAT 0 LAST\r\n"),
}
"""What comes before, paid at once, and the input whose answer is owed."""


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def make(request: pytest.FixtureRequest) -> Make:
    return IMPLEMENTATIONS[request.param]


def waiting(make: Make, stage: str) -> Client:
    """A session that waits for the answer at ``stage``."""
    client = Client(make)
    before, asked = STAGES[stage]
    client.say(before)
    assert not client.protocol.waiting
    assert client.only(asked) == b""
    assert client.protocol.waiting
    assert client.protocol.in_transaction
    return client


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_happens_until_the_answer(make: Make, stage: str) -> None:
    client = waiting(make, stage)
    before = list(client.handler.events)
    assert not client.protocol.holding
    assert client.only(b"NO") == b""
    assert client.only(b"OP\r\nQUIT\r\n") == b""
    assert client.protocol.holding
    assert client.handler.events == before
    assert client.protocol.waiting


PIPELINED: dict[str, tuple[bytes, bytes]] = {
    "mail": (RCPT + b"NOOP\r\n", reply.SENDER_OK.wire + reply.RECIPIENT_OK.wire + reply.OK.wire),
    "rcpt": (b"NOOP\r\nDATA\r\n", reply.RECIPIENT_OK.wire + reply.OK.wire + reply.SEND_DATA.wire),
    "second rcpt": (b"FOO\r\n", reply.RECIPIENT_OK.wire + reply.UNKNOWN_COMMAND.wire),
    "data": (b"a\r\n..\r\n", reply.SEND_DATA.wire),
    "bdat": (b"helloNOOP\r\n", reply.CHUNK_OK.wire + reply.OK.wire),
    "body": (b"NOOP\r\nMAIL FROM:<a@b.test>\r\n", STORED.wire + reply.OK.wire + reply.SENDER_OK.wire),
    "chunks": (b"NOOP\r\nQUIT\r\n", STORED.wire + reply.OK.wire + reply.BYE.wire),
}


@pytest.mark.parametrize("stage", PIPELINED)
def test_input_that_waited_is_answered_in_order(make: Make, stage: str) -> None:
    more, said = PIPELINED[stage]
    for pieces in ([more], [more[i : i + 1] for i in range(len(more))]):
        client = waiting(make, stage)
        for piece in pieces:
            assert client.only(piece) == b""
        assert client.pay() == said
        assert not client.protocol.waiting
        assert not client.protocol.holding


@pytest.mark.parametrize("stage", STAGES)
def test_the_rest_of_the_same_piece_waits_too(make: Make, stage: str) -> None:
    before, asked = STAGES[stage]
    client = Client(make)
    client.say(before)
    tail = b"NOOP\r\n" if stage not in ("data", "bdat") else b"hello"
    assert client.only(asked + tail) == b""
    assert client.protocol.holding
    said = client.pay()
    # a chunk of no octets is complete with the command, and the end of its message is owed next
    if stage == "bdat last":
        assert said == b""
        said = client.pay()
    assert said.endswith(reply.OK.wire) or stage in ("data", "bdat")
    assert not client.protocol.holding


def test_one_owed_after_the_other(make: Make) -> None:
    client = Client(make)
    client.say(EHLO)
    later = (
        b"MAIL FROM:<laterdata@b.test>\r\nRCPT TO:<later@d.test>\r\nRCPT TO:<laterrefuse@d.test>\r\nDATA\r\n"
    )
    assert client.only(later + b"x\r\n.\r\nNOOP\r\n") == reply.SENDER_OK.wire
    assert client.pay() == reply.RECIPIENT_OK.wire
    assert client.pay() == NOT_NOW.wire
    assert client.pay() == reply.SEND_DATA.wire
    assert client.protocol.waiting
    assert client.pay() == STORED.wire + reply.OK.wire
    assert client.handler.messages == [b"x\r\n"]


def test_a_group_of_recipients_some_of_whom_wait(make: Make) -> None:
    """RFC 2920 §3.2: however late each answer is, they come in the order of the commands, each as soon as it may."""
    names = ("later1", "now1", "laterrefuse", "refuse", "later2")
    group = b"".join(b"RCPT TO:<%s@d.test>\r\n" % name.encode() for name in names) + b"DATA\r\n"
    for pieces in ([group], [group[i : i + 1] for i in range(len(group))]):
        client = Client(make)
        client.say(EHLO + MAIL)
        said = [b"".join(map(client.only, pieces)), client.pay(), client.pay(), client.pay()]
        assert said == [
            b"",
            reply.RECIPIENT_OK.wire * 2,
            NOT_NOW.wire + NO.wire,
            reply.RECIPIENT_OK.wire + reply.SEND_DATA.wire,
        ]
        assert client.names == ["hello", "mail", *["rcpt"] * 5, "data"]
        assert not client.protocol.waiting


@pytest.mark.parametrize(
    ("before", "asked", "then", "said"),
    [
        (EHLO, b"MAIL FROM:<laterrefuse@b.test>\r\n", RCPT, reply.NEED_MAIL),
        (EHLO + MAIL, b"RCPT TO:<laterrefuse@b.test>\r\n", b"DATA\r\n", reply.NO_VALID_RECIPIENTS),
        (EHLO + MAIL + RCPT, b"RCPT TO:<laterrefuse@b.test>\r\n", b"DATA\r\n", reply.SEND_DATA),
        (REFUSED_DATA, b"DATA\r\n", RCPT, reply.NEED_MAIL),
        (REFUSED_DATA, b"DATA\r\n", MAIL, reply.SENDER_OK),
    ],
)
def test_refused_later(make: Make, before: bytes, asked: bytes, then: bytes, said: Reply) -> None:
    client = Client(make)
    client.say(before)
    assert client.only(asked) == b""
    assert client.pay() == NOT_NOW.wire
    assert client.only(then) == said.wire


@pytest.mark.parametrize("chunk", [b"", b"abc", b"RSET\r\n", b"x" * 500])
def test_a_chunk_refused_later_is_swallowed_first(make: Make, chunk: bytes) -> None:
    """RFC 3030 §2: the octets of a refused chunk are no commands."""
    asked = b"BDAT %d\r\n" % len(chunk)
    for pieces in (
        [asked + chunk + b"NOOP\r\n"],
        [asked, chunk + b"NOOP\r\n"],
        [asked + chunk[:2], chunk[2:] + b"NOOP\r\n"],
    ):
        client = Client(make)
        client.say(REFUSED_DATA)
        assert client.only(pieces[0]) == b""
        said = client.pay()
        for piece in pieces[1:]:
            said += client.only(piece)
        assert said == NOT_NOW.wire + reply.OK.wire
        assert client.names[-2:] == ["data", "reset"]


def test_the_body_that_follows_a_refused_data_is_no_body(make: Make) -> None:
    client = Client(make)
    client.say(EHLO, b"MAIL FROM:<refusedata@b.test>\r\n", RCPT)
    assert client.say(b"DATA\r\n") == b"550 5.1.1 no\r\n"
    assert client.say(b"Subject: x\r\n") == reply.UNKNOWN_COMMAND.wire
    client.protocol.end()
    assert client.names[-2:] == ["data", "reset"]


def test_resume_without_a_question(make: Make) -> None:
    client = Client(make)
    with pytest.raises(RuntimeError, match="resume without a pending event"):
        client.protocol.resume(None)


def test_a_message_without_a_reply_is_answered_all_the_same(make: Make) -> None:
    client = waiting(make, "body")
    assert client.protocol.resume(None) == reply.LOCAL_ERROR.wire
    assert client.only(b"NOOP\r\n") == reply.OK.wire


# --- goodbyes --------------------------------------------------------------------------------------

IDLE: dict[str, tuple[bytes, bool]] = {
    "connected": (b"", False),
    "greeted": (EHLO, False),
    "half a line": (EHLO + b"MAI", False),
    "sender": (EHLO + MAIL, True),
    "refused": (EHLO + MAIL + b"RCPT TO:<refuse@d.test>\r\n", True),
    "recipient": (EHLO + MAIL + RCPT, True),
    "in data": (EHLO + MAIL + RCPT + b"DATA\r\nabc", True),
    "in refused data": (EHLO + MAIL + RCPT + b"DATA\r\na\nb", False),
    "in a chunk": (EHLO + MAIL + RCPT + b"BDAT 9\r\nabc", True),
    "between chunks": (EHLO + MAIL + RCPT + b"BDAT 3\r\nabc", True),
    "in a refused chunk": (EHLO + MAIL + RCPT + b"BDAT 9\r\na\nb", False),
    "in a chunk too big": (EHLO + MAIL + RCPT + b"BDAT 10001\r\nab", False),
    "in a swallowed chunk": (EHLO + b"BDAT 9\r\nabc", False),
    "in a chunk without recipients": (EHLO + MAIL + b"BDAT 9\r\nabc", True),
    "after a message": (EHLO + MAIL + RCPT + b"DATA\r\n.\r\n", False),
    "after a refused message": (EHLO + MAIL + RCPT + b"DATA\r\n\n\r\n.\r\n", False),
}
"""What comes before, and whether the handler has an open transaction then."""


@pytest.mark.parametrize("where", IDLE)
def test_goodbye_at_any_time(make: Make, where: str) -> None:
    before, opened = IDLE[where]
    client = Client(make)
    client.say(before)
    assert client.protocol.say_goodbye(reply.SHUTTING_DOWN) == reply.SHUTTING_DOWN.wire
    assert client.protocol.closing
    assert not client.protocol.left
    assert client.names.count("reset") == opened
    assert client.protocol.say_goodbye(reply.TIMEOUT) == b""
    assert client.only(b"NOOP\r\n") == b""
    client.protocol.end()
    assert client.names.count("reset") == opened


@pytest.mark.parametrize("where", IDLE)
def test_the_end_at_any_time(make: Make, where: str) -> None:
    before, opened = IDLE[where]
    client = Client(make)
    client.say(before)
    client.protocol.end()
    assert client.names.count("reset") == opened


@pytest.mark.parametrize("goodbye", [True, False])
@pytest.mark.parametrize("stage", STAGES)
def test_the_end_while_an_answer_is_owed(make: Make, stage: str, goodbye: bool) -> None:
    """A message that was handed over stays the handler's; everything else is over."""
    client = waiting(make, stage)
    client.only(b"NOOP\r\n")
    if goodbye:
        assert client.protocol.say_goodbye(reply.SHUTTING_DOWN) == reply.SHUTTING_DOWN.wire
    client.protocol.end()
    assert client.names.count("reset") == (stage not in ("body", "chunks"))
    # an answer that comes too late is no defect of the one who gives it
    assert client.protocol.resume(None) == b""
    assert client.only(b"NOOP\r\n") == b""


def test_goodbye_with_a_reply_that_does_not_close(make: Make) -> None:
    client = Client(make)
    assert client.protocol.say_goodbye(reply.EARLY_TALK) == reply.EARLY_TALK.wire
    assert client.protocol.closing
    assert client.say(EHLO) == b""


def test_a_client_that_goes_on_when_told_to_try_later(make: Make) -> None:
    rules = ServerRules(hostname="mx.test", size=10_000, recipients=5, errors=3)
    client = Client(make, rules)
    client.say(EHLO)
    assert client.say(b"MAIL FROM:<laterrefuse@b.test>\r\n" * 3).startswith(b"4")
    assert not client.protocol.closing
    assert client.say(b"MAIL FROM:<laterrefuse@b.test>\r\n") == reply.TOO_MANY_ERRORS.wire
    assert client.protocol.closing


def test_replies_are_bounded_until_they_have_left(make: Make) -> None:
    client = Client(make)
    flood = b"HELP\r\n" * 20_000
    one = reply.HELP_TEXT.wire
    said = [client.only(flood)]
    while client.protocol.full:
        # more input changes nothing until the replies have left
        before = len(said[-1])
        assert limits.OUTPUT <= before < limits.OUTPUT + len(one)
        said.append(client.protocol.proceed())
    assert b"".join(said) == one * 20_000
    assert not client.protocol.holding
    assert client.only(flood) != b""
    assert client.protocol.full
    assert client.only(b"NOOP\r\n") == b""
    assert client.protocol.say_goodbye(reply.TIMEOUT) == reply.TIMEOUT.wire
