"""What an outcome means at RCPT: who is refused for good, and in which words."""

import pytest

from fastsmtp.mail.reply import CANNOT_VERIFY
from fastsmtp.mail.result import TEXT_LIMIT
from fastsmtp.smtp.outgoing_judge import judge as heard
from fastsmtp.smtp.outgoing_values import Outcome
from fastsmtp.verify.judge import judge


def said(*lines: bytes, stage: str = "rcpt") -> Outcome:
    return heard(int(lines[0][:3]), lines, stage, "relayed")


@pytest.mark.parametrize("line", [b"250 2.1.5 ok", b"251 will forward", b"252 perhaps"])
def test_known(line: bytes) -> None:
    assert judge(said(line)) == (None, "recipient")


@pytest.mark.parametrize(
    ("line", "wire"),
    [
        (b"550 5.1.1 no such user", b"550 5.1.1 the next hop says: 550 no such user"),
        (b"550 no such user", b"550 5.1.1 the next hop says: 550 no such user"),
        (b"550 5.1.0 nobody", b"550 5.1.0 the next hop says: 550 nobody"),
        (b"550 4.1.1 liar", b"550 5.1.1 the next hop says: 550 4.1.1 liar"),
        (b"553 bad name", b"550 5.1.3 the next hop says: 553 bad name"),
        (b"552 5.2.2 full", b"550 5.2.2 the next hop says: 552 full"),
        (b"554 5.7.1 denied", b"550 5.7.1 the next hop says: 554 denied"),
        (b"550", b"550 5.1.1 the next hop says: 550"),
        (b"450 4.2.0 greylisted", b"450 4.2.0 the next hop says: 450 greylisted"),
        (b"451 local error", b"450 4.3.0 the next hop says: 451 local error"),
        (b"452 4.2.2 full", b"450 4.2.2 the next hop says: 452 full"),
        (b"552 too many", b"450 4.5.3 the next hop says: 552 too many"),
        (b"550 5.1.1 n\xc3\xb6\x01\x7f\xff", b"550 5.1.1 the next hop says: 550 n????"),
    ],
)
def test_what_was_said_to_rcpt_is_about_the_recipient(line: bytes, wire: bytes) -> None:
    answer, about = judge(said(line))
    assert answer is not None
    assert answer.wire.removesuffix(b"\r\n") == wire
    assert about == "recipient"


def test_words_are_bounded() -> None:
    answer, _ = judge(said(*[b"550-5.1.1 " + b"x" * TEXT_LIMIT] * 4, b"550 5.1.1 end"))
    assert answer is not None
    assert len(answer.wire) < 300
    assert answer.wire.count(b"\r\n") == 1
    assert answer.wire.endswith(b"xxx...\r\n")


@pytest.mark.parametrize(
    ("line", "stage"),
    [
        (b"550 5.7.1 no bounces", "mail"),
        (b"451 later", "mail"),
        (b"550 who are you", "helo"),
        (b"554 no", "connect"),
        (b"421 4.3.2 closing", "rcpt"),
        (b"530 5.7.0 log in", "rcpt"),
        (b"503 5.5.1 order", "rcpt"),
        (b"500 what", "rcpt"),
    ],
)
def test_what_is_not_about_the_recipient_refuses_nobody_for_good(line: bytes, stage: str) -> None:
    assert judge(said(line, stage=stage)) == (CANNOT_VERIFY, "site")


def test_no_answer() -> None:
    lost = Outcome("deferred", 0, "4.4.2", "the connection was lost", "rcpt", True)
    assert judge(lost) == (CANNOT_VERIFY, "question")
    assert judge(lost._replace(stage="connect")) == (CANNOT_VERIFY, "site")


def test_an_address_that_cannot_be_said_there() -> None:
    unfit = Outcome("failed", 0, "5.6.7", "the address needs SMTPUTF8", "plan", True)
    answer, about = judge(unfit)
    assert answer is not None
    assert (answer.wire, about) == (b"550 5.6.7 the address needs SMTPUTF8\r\n", "recipient")
