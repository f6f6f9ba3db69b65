"""What people read: what happened, why, and what to do; and not what is none of their business."""

import quopri

import pytest

from fastsmtp.bounce.decide import Action, Notice, Outcome
from fastsmtp.bounce.letter import NAMED, letter, subject
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mail.result import DeliveryResult

AT = 1_764_000_000.0
ENVELOPE = Envelope("0AbCdEfGhIjKl", "alice@example.org", [], "192.0.2.9", "client.test", "ESMTP", AT)
UNKNOWN = DeliveryResult(0, "failed", 550, "5.1.1", "5.1.1 no such user", "mx.far.test[192.0.2.1]:25", "smtp")
SILENT = DeliveryResult(
    0, "deferred", 0, "4.4.1", "mx.far.test does not answer", "mx.far.test[192.0.2.1]:25", "x-fastsmtp"
)
TAKEN = DeliveryResult(0, "delivered", 250, "2.0.0", "2.0.0 queued", "mx.far.test[192.0.2.1]:25", "smtp")
BOB = Recipient("bob@far.test", "")
FORWARDED = Recipient("carol@home.test", "", None, None, "info@example.org")
MEMBER = Recipient("carol@home.test", "", None, "talk-owner@example.org", "talk@example.org")


def notice(*outcomes: Outcome, **more: bool) -> Notice:
    action = outcomes[0].action
    kind = action if action in ("failed", "delayed") else "succeeded"
    return Notice("alice@example.org", kind, outcomes, **more)  # type: ignore[arg-type]


def outcome(recipient: Recipient, action: Action = "failed", result: DeliveryResult = UNKNOWN) -> Outcome:
    return Outcome(recipient, action, result, AT + 60, AT + 432_000)


def text(owed: Notice, headers: bytes = b"", whole: bool = False) -> str:
    part = letter(owed, ENVELOPE, headers, whole, "mx.example.org")
    body = quopri.decodestring(part.body) if part.encoding == "quoted-printable" else part.body
    return body.decode(part.type.partition("charset=")[2]).replace("\r\n", "\n")


def test_one_failure() -> None:
    headers = b"Subject: Hello\r\nDate: Mon, 24 Nov 2025 15:59:58 +0000\r\n"
    assert text(notice(outcome(BOB)), headers) == (
        """\
This is the mail system at mx.example.org.

Your message could not be delivered to the address below. It will not be
tried again.

<bob@far.test>
    There is no mailbox with this address. Check it for typing mistakes,
    or ask for the right one.
    mx.far.test[192.0.2.1]:25 said: 550 5.1.1 no such user

The message:
    Subject: Hello
    Date: Mon, 24 Nov 2025 15:59:58 +0000
    Received here: Mon, 24 Nov 2025 16:00:00 +0000
    Number here: 0AbCdEfGhIjKl

Attached are a report for programs and the headers of the message. If
this does not help you, show it to whoever runs your mail.
"""
    )


@pytest.mark.parametrize(
    ("owed", "words"),
    [
        (notice(outcome(BOB, result=SILENT)), "Reason: mx.far.test does not answer It was tried again"),
        (notice(outcome(BOB, "delayed", SILENT)), "so far. You need not do anything: it will be tried again,"),
        (notice(outcome(BOB, "delayed", SILENT)), "It will be tried until Sat, 29 Nov 2025 16:00:00 +0000."),
        (notice(outcome(BOB, "delivered", TAKEN)), "You asked to be told what becomes of your message: <bob@f"),
        (notice(outcome(BOB, "delivered", TAKEN)), "<bob@far.test> Delivered. The message:"),
        (notice(outcome(BOB, "relayed", TAKEN)), "Passed on to a mail system that does not report what"),
        (notice(outcome(BOB, "expanded", TAKEN)), "This address stands for several people."),
        (notice(outcome(BOB), outcome(BOB)), "to the 2 addresses below"),
        (notice(outcome(MEMBER), from_list=True), "A message to the list <talk@example.org> that you look after"),
        (notice(outcome(MEMBER), from_list=True), "<carol@home.test> There is no mailbox with this address."),
        (notice(outcome(BOB), double=True), "A message without a sender could not be delivered to the address"),
        (notice(outcome(FORWARDED), double=True), "<info@example.org> It was forwarded to <carol@home.test>."),
        (notice(outcome(FORWARDED)), "forwarded to another, where it could not be delivered. The message:"),
        (notice(outcome(FORWARDED, result=SILENT)), "The recipient's mail system does not answer. It was tried"),
    ],
)  # fmt: skip
def test_what_is_said_when(owed: Notice, words: str) -> None:
    assert words in " ".join(text(owed).split())


def test_where_mail_is_forwarded_to_is_not_said() -> None:
    for result in (UNKNOWN, SILENT):
        for action in ("failed", "delayed"):
            said = text(notice(outcome(FORWARDED, action, result)))  # type: ignore[arg-type]
            assert "home.test" not in said
            assert "far.test" not in said


def test_only_who_can_do_something_is_sent_to_the_people_who_run_the_mail() -> None:
    asks = "show it to whoever runs"
    assert asks in text(notice(outcome(BOB)))
    assert asks not in text(notice(outcome(BOB, "delayed", SILENT)))
    assert asks not in text(notice(outcome(BOB, "delivered", TAKEN)))
    assert asks not in text(notice(outcome(BOB), double=True))


def test_it_says_what_is_attached() -> None:
    assert "programs and the message." in text(notice(outcome(BOB)), whole=True)
    assert "programs and the headers of the message." in text(notice(outcome(BOB)))


def test_many_are_not_all_described() -> None:
    said = text(notice(*[outcome(Recipient(f"r{n}@far.test", "")) for n in range(NAMED + 7)]))
    assert f"<r{NAMED - 1}@far.test>" in said
    assert f"<r{NAMED}@far.test>" not in said
    assert "\nand 7 more; the attached report names them all.\n" in said


def test_strangers_words_stay_in_their_line() -> None:
    words = "no\r\n\r\nYour account is closed, see\u2028http://evil.test \x1b[2J\u202egnp"
    result = DeliveryResult(0, "failed", 550, "5.7.1", words, "mx\r\n.far.test[192.0.2.1]:25", "smtp")
    headers = b"Subject: =?utf-8?q?x=0D=0A=0D=0AYour_account?=\r\nDate: \x00\x07\r\n"
    said = text(notice(outcome(Recipient("b\nob@far.test", ""), result=result)), headers)
    assert "\nYour account" not in said
    assert "<b?ob@far.test>" in said
    assert "    Subject: x????Your account\n" in said
    assert all(c == "\n" or c.isprintable() for c in said)


def test_letters_of_all_scripts_are_kept() -> None:
    result = DeliveryResult(0, "failed", 550, "5.1.1", "nö, 没有这个人", "mx.far.test[192.0.2.1]:25", "smtp")
    assert "said: 550 nö, 没有这个人" in text(notice(outcome(Recipient("böb@far.test", ""), result=result)))


@pytest.mark.parametrize(
    ("owed", "line"),
    [
        (notice(outcome(BOB)), "Not delivered: bob@far.test"),
        (notice(outcome(BOB), outcome(BOB), outcome(BOB)), "Not delivered: bob@far.test and 2 more"),
        (notice(outcome(BOB, "delayed", SILENT)), "Delayed: bob@far.test"),
        (notice(outcome(BOB, "delivered", TAKEN)), "Delivered: bob@far.test"),
        (notice(outcome(BOB, "relayed", TAKEN)), "Passed on: bob@far.test"),
        (notice(outcome(BOB, "expanded", TAKEN)), "Passed on: bob@far.test"),
        (notice(outcome(FORWARDED)), "Not delivered: info@example.org"),
        (notice(outcome(MEMBER), from_list=True), "Not delivered: carol@home.test"),
        (notice(outcome(Recipient("x" * 400 + "@far.test", ""))), "Not delivered: " + "x" * 299 + "…"),
    ],
)
def test_the_subject_says_what_happened_to_whom(owed: Notice, line: str) -> None:
    assert subject(owed) == line
