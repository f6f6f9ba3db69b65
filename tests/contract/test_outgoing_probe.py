"""Asking a server for recipients without sending mail: the compiled client and its plain twin."""

from typing import Any

import pytest

from fastsmtp.mail.envelope import Recipient
from fastsmtp.smtp.outgoing_values import Event
from tests.fakes.outgoing import (
    BYE,
    CONTENT,
    EHLO,
    GO_ON,
    GREETING,
    IMPLEMENTATIONS,
    LATER,
    MAIL,
    NO,
    OK,
    PIPELINED,
    PLAIN,
    RCPT,
    Make,
    converse,
    leave,
    protocol,
    rcpts,
    send,
)
from tests.fakes.session import bytewise

R, D, O = Event.READY, Event.DONE, Event.OVER  # noqa: E741
NOBODY = b"MAIL FROM:<> SIZE=0\r\n"
RSET = b"RSET\r\n"
QUIT = b"QUIT\r\n"
SENDING = MAIL + b" SIZE=%d\r\n" % len(CONTENT)
BARE = b"250 mx.test\r\n"


@pytest.fixture(params=IMPLEMENTATIONS)
def make(request: pytest.FixtureRequest) -> Make:
    return protocol(request.param)


def ask(count: int = 1) -> Any:
    """An act: ask for that many recipients."""
    return lambda client: client.probe(rcpts(count))


@pytest.mark.parametrize("hello", [PLAIN, PIPELINED])
@pytest.mark.parametrize(
    ("answer", "status", "code"), [(OK, "relayed", 250), (NO, "failed", 550), (LATER, "deferred", 451)]
)
def test_the_answer_to_rcpt_is_the_outcome(
    make: Make, hello: bytes, answer: bytes, status: str, code: int
) -> None:
    seen = converse(make, [GREETING, hello, OK, answer, BYE], [ask(), leave], cut=bytewise)
    assert seen.written == EHLO + NOBODY + RCPT % 1 + QUIT
    assert seen.events == [R, D, O]
    [[outcome]] = seen.outcomes
    assert (outcome.status, outcome.code, outcome.stage) == (status, code, "rcpt")


def test_each_recipient_has_its_own(make: Make) -> None:
    for hello in (PLAIN, PIPELINED):
        seen = converse(make, [GREETING, hello, OK, OK, NO, OK, BYE], [ask(3), leave])
        assert seen.statuses == [["relayed", "failed", "relayed"]]
        assert seen.written == EHLO + NOBODY + b"".join(RCPT % n for n in (1, 2, 3)) + QUIT


def test_a_refused_sender_is_the_outcome_of_all(make: Make) -> None:
    seen = converse(make, [GREETING, PIPELINED, NO, NO, NO], [ask(2)])
    assert [(one.status, one.stage) for one in seen.outcomes[0]] == [("failed", "mail")] * 2
    assert seen.events == [R, D]


@pytest.mark.parametrize("answer", [OK, NO])
def test_the_next_transaction_begins_with_rset(make: Make, answer: bytes) -> None:
    seen = converse(make, [GREETING, PIPELINED, OK, answer, OK, OK, OK, GO_ON, OK], [ask(), send()])
    first = EHLO + NOBODY + RCPT % 1
    assert seen.written == first + RSET + SENDING + RCPT % 1 + b"DATA\r\n" + CONTENT + b".\r\n"
    assert seen.statuses[1] == ["relayed"]


def test_after_a_refused_sender_there_is_nothing_to_reset(make: Make) -> None:
    seen = converse(make, [GREETING, PLAIN, NO, OK, NO], [ask(), ask()])
    assert seen.written == EHLO + NOBODY + NOBODY + RCPT % 1


def test_a_message_then_a_question(make: Make) -> None:
    """A body handed in piece by piece before does not make the question one that ends in a body."""
    says = [GREETING, PLAIN, OK, OK, GO_ON, OK, OK, OK, BYE]
    seen = converse(make, says, [send(body=None), ask(), leave])
    assert seen.written.endswith(CONTENT + b".\r\n" + NOBODY + RCPT % 1 + QUIT)
    assert seen.statuses == [["relayed"], ["relayed"]]


def test_more_than_may_be_on_their_way(make: Make) -> None:
    seen = converse(make, [GREETING, PIPELINED, OK, *[OK, NO] * 125], [ask(250)])
    assert seen.statuses == [["relayed", "failed"] * 125]
    assert b"DATA" not in seen.written


def test_over_lmtp(make: Make) -> None:
    seen = converse(make, [GREETING, PIPELINED, OK, NO], [ask()], lmtp=True)
    assert seen.written == b"LHLO me.test\r\n" + NOBODY + RCPT % 1
    assert seen.statuses == [["failed"]]


def test_an_address_that_the_server_cannot_be_told(make: Make) -> None:
    seen = converse(make, [GREETING, BARE], [lambda client: client.probe([Recipient("ü@there.test", "")])])
    assert seen.written == EHLO
    assert [(one.enhanced, one.stage) for one in seen.outcomes[0]] == [("5.6.7", "plan")]


@pytest.mark.parametrize("answer", [b"421 4.3.2 closing\r\n", b"garbage\r\n", b"354 go on\r\n", b"250\n" * 3])
def test_what_is_no_answer_to_rcpt(make: Make, answer: bytes) -> None:
    seen = converse(make, [GREETING, PLAIN, OK, answer], [ask()], ends=True)
    assert seen.events[-1] == O
    assert seen.outcomes[0][0].status in (("relayed",) if answer.startswith(b"250") else ("deferred",))


def test_the_end_before_the_answer(make: Make) -> None:
    seen = converse(make, [GREETING, PIPELINED, OK], [ask(2)], ends=True)
    assert [one.status for one in seen.outcomes[0]] == ["deferred"] * 2
    assert [one.stage for one in seen.outcomes[0]] == ["rcpt"] * 2


def test_not_before_the_session_is_ready(make: Make) -> None:
    with pytest.raises(RuntimeError, match="ready"):
        make(b"me.test").probe(rcpts(1))
