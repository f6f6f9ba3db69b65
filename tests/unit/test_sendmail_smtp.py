"""A dialogue of ``sendmail -bs``, through pipes."""

import os
from pathlib import Path

import pytest

from fastsmtp.maildrop.form import Drop, decoded
from fastsmtp.maildrop.place import FACTS, VARIABLE
from fastsmtp.sendmail.smtp import serve


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The maildrop."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return tmp_path


def talk(said: bytes) -> list[str]:
    """The replies to what a client says in one go, without those of EHLO's extensions."""
    source, write = os.pipe()
    os.write(write, said)
    os.close(write)
    read, target = os.pipe()
    assert serve(source, target) == os.EX_OK
    os.close(target)
    os.close(source)
    with open(read, "rb") as stream:
        return [line for line in stream.read().decode().split("\r\n") if line and line[3] == " "]


def dropped(place: Path) -> list[tuple[Drop, bytes]]:
    """All that lies there."""
    found = []
    for name in sorted(os.listdir(place)):
        if name != FACTS:
            head, _, message = (place / name).read_bytes().partition(b"\n\n")
            found.append((decoded(head), message))
    return found


DIALOGUE = b"""EHLO me
MAIL FROM:<a@b.c> RET=HDRS BODY=8BITMIME
RCPT TO:<d@e.f> NOTIFY=NEVER
RCPT TO:<d@e.f>
RCPT TO:<g@h.i>
DATA
Subject: x

..dot
\xc3\xbc
.
MAIL FROM:<>
RCPT TO:<j@k.l>
DATA
.
QUIT
"""
CODES = ["220", "250", "250", "250", "250", "250", "354", "250", "250", "250", "354", "250", "221"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_two_messages(place: Path, end: bytes) -> None:
    assert [line[:3] for line in talk(DIALOGUE.replace(b"\n", end))] == CODES
    found = {drop.sender: (drop, message) for drop, message in dropped(place)}
    drop, message = found["a@b.c"]
    assert drop.recipients == ("d@e.f", "g@h.i")
    assert drop.parameters == {"RET": "HDRS", "NOTIFY": "NEVER"}
    assert drop.eight_bit
    assert message == b"Subject: x\r\n\r\n.dot\r\n\xc3\xbc\r\n"
    assert found[""][1] == b""


def test_a_client_that_goes_leaves_nothing(place: Path) -> None:
    replies = talk(b"HELO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: x\r\n\r\nhalf")
    assert replies[-1].startswith("354")
    assert os.listdir(place) == []


def test_refusals(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replies = talk(
        b"EHLO me\r\nMAIL FROM:<a@b> BODY=BINARYMIME\r\nAUTH PLAIN\r\nSTARTTLS\r\nDATA\r\nQUIT\r\n"
    )
    assert [line[:3] for line in replies] == ["220", "250", "501", "500", "500", "503", "221"]
    (place / FACTS).write_text("message_size 20\n")
    begin = b"EHLO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"
    assert talk(begin + b"x" * 50 + b"\r\n.\r\nQUIT\r\n")[-2].startswith("552 5.3.4")
    monkeypatch.setenv(VARIABLE, str(place / "none"))
    assert talk(begin + b"QUIT\r\n")[-2].startswith("451 4.3.0")
    assert os.listdir(place) == [FACTS]
