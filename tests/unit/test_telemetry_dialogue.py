"""What is kept of sessions: bounded, from the first refusal on, and never a secret."""

import base64

import pytest

from fastsmtp.telemetry import dialogue
from fastsmtp.telemetry.dialogue import Dialogues, Facts, Talk, commands, failed, replies


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def made() -> tuple[Dialogues, Talk, Time]:
    time = Time()
    dialogues = Dialogues(3, time)
    return dialogues, dialogues.begin("192.0.2.1", Facts()), time


SECRET = base64.b64encode(b"\0alice\0pass word").decode()


@pytest.mark.parametrize(
    ("piece", "shown"),
    [
        (b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", ["EHLO x", "MAIL FROM:<a@b>", "RCPT TO:<c@d>"]),
        (b"rcpt to:<c@d\x1b[31m>\r\n", ["rcpt to:<c@d?[31m>"]),
        (f"AUTH PLAIN {SECRET}\r\n".encode(), ["AUTH PLAIN [cut]"]),
        (f"auth login\r\n{SECRET}\r\n".encode(), ["auth login", "[26 octets]"]),
        (b"DATA\r\nMAIL this\r\nQUIT\r\n", ["DATA", "[17 octets]"]),
        (b"BDAT 4 LAST\r\nQUIT", ["BDAT 4 LAST", "[4 octets]"]),
        (f"{SECRET}\r\nQUIT\r\n".encode(), ["[32 octets]"]),
        (b"NOOP" + b"x" * 20 + b"\r\n", ["[26 octets]"]),
        (b"MAIL FROM:<" + b"x" * 5000, ["[5011 octets]"]),
        (b"", []),
    ],
)
def test_what_is_shown_of_a_client(piece: bytes, shown: list[str]) -> None:
    assert commands(piece) == shown
    assert SECRET not in "".join(shown)


def test_answers_to_challenges_are_cut_whatever_they_look_like() -> None:
    dialogues, talk, _ = made()
    dialogues.heard(talk, b"AUTH LOGIN\r\n", b"334 VXNlcm5hbWU6\r\n")
    dialogues.heard(talk, b"HELP\r\n", b"334 UGFzc3dvcmQ6\r\n")
    dialogues.heard(talk, b"NOOP\r\n", b"535 5.7.8 no\r\n")
    assert [said.text for said in talk.lines()] == [
        "AUTH LOGIN",
        "334 [cut]",
        "[6 octets]",
        "334 [cut]",
        "[6 octets]",
        "535 5.7.8 no",
    ]
    other = dialogues.begin("192.0.2.1", Facts())
    dialogues.heard(other, b"NOOP\r\n", b"501 5.5.2 malformed\r\n")
    assert other.lines()[0].text == "[6 octets]"


def test_which_replies_refuse() -> None:
    assert failed(b"550 5.1.1 no\r\n")
    assert failed(b"250 2.1.0 ok\r\n450 4.2.0 later\r\n")
    assert not failed(b"250-mx\r\n250 SIZE 5000\r\n")
    assert failed(b"250 2.0.0 OK\r\n500 5.5.1 what\r\n")
    assert replies(b"250-a\r\n250 b\r\n") == ["250-a", "250 b"]


def test_only_sessions_with_a_refusal_are_kept_and_bounded() -> None:
    dialogues, talk, time = made()
    dialogues.heard(talk, b"NOOP\r\n", b"250 2.0.0 OK\r\n")
    assert not dialogues.kept
    for number in range(1000):
        dialogues.heard(talk, f"RCPT TO:<{number}@x>\r\n".encode(), b"550 5.1.1 no\r\n")
    assert list(dialogues.kept) == [talk]
    assert talk.refusals == 1000
    lines = talk.lines()
    assert len(lines) == dialogue.LINES
    assert (lines[0].text, lines[-2].text) == ("NOOP", "RCPT TO:<999@x>")
    time.now += 5
    dialogues.ended(talk)
    assert (talk.name, talk.ended) == ("3.1", 1005.0)
    for _ in range(dialogue.SESSIONS + 5):
        dialogues.heard(dialogues.begin("192.0.2.2", Facts()), b"X\r\n", b"500 5.5.1 what\r\n")
    assert len(dialogues.kept) == dialogue.SESSIONS


def test_watching_from_now_on_until_nobody_asks() -> None:
    dialogues, talk, time = made()
    assert dialogues.watch(-1) == (0, [])
    dialogues.heard(talk, b"NOOP\r\n", b"250 2.0.0 OK\r\n")
    position, lines = dialogues.watch(0)
    assert [(one.session, one.client, one.said.text) for one in lines] == [
        ("3.1", "192.0.2.1", "NOOP"),
        ("3.1", "192.0.2.1", "250 2.0.0 OK"),
    ]
    assert dialogues.watch(position) == (2, [])
    time.now += dialogue.LEASE
    dialogues.tick()
    assert dialogues.watched
    time.now += 0.1
    dialogues.tick()
    assert not dialogues.watched
    dialogues.heard(talk, b"NOOP\r\n", b"250 2.0.0 OK\r\n")
    assert dialogues.watch(position) == (2, [])
