"""From standard input into the maildrop: bytes, recipients, exit codes."""

import io
import os
from pathlib import Path

import pytest

from fastsmtp.maildrop.form import Drop, decoded
from fastsmtp.maildrop.place import FACTS, VARIABLE
from fastsmtp.sendmail import submit as module
from fastsmtp.sendmail.failure import Failure
from fastsmtp.sendmail.options import parse
from fastsmtp.sendmail.submit import Message, submit, xtext


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The maildrop."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setenv("NAME", "Full Name")
    return tmp_path


def send(place: Path, line: list[str], data: bytes) -> tuple[Drop, bytes]:
    """What was dropped."""
    assert submit(parse(line), io.BytesIO(data)) == os.EX_OK
    [name] = [name for name in os.listdir(place) if name != FACTS]
    head, _, message = (place / name).read_bytes().partition(b"\n\n")
    return decoded(head), message


def fails(line: list[str], data: bytes = b"Subject: x\n\nx\n") -> Failure:
    """Why nothing was."""
    with pytest.raises(Failure) as caught:
        submit(parse(line), io.BytesIO(data))
    return caught.value


@pytest.mark.parametrize(
    ("line", "data", "message"),
    [
        (["a"], b"Subject: x\n\nhi\n.\nnot this\n", b"Subject: x\r\n\r\nhi\r\n"),
        (["-i", "a"], b"Subject: x\n\nhi\n.\nthis\n", b"Subject: x\r\n\r\nhi\r\n.\r\nthis\r\n"),
        (["-i", "a"], b"Subject: x\r\n\r\nhi\r\nho", b"Subject: x\r\n\r\nhi\r\nho\r\n"),
        (["a"], b"Subject: x\r\n\r\nhi\r\n.\r\nno\r\n", b"Subject: x\r\n\r\nhi\r\n"),
        (["a"], b"no header\nat all\n", b"\r\nno header\r\nat all\r\n"),
        (["a"], b"\nbody: x\n", b"\r\nbody: x\r\n"),
        (["a"], b"From me Tue\nSubject: x\n\ny\n", b"Subject: x\r\n\r\ny\r\n"),
        (["a"], b"Subject: x\n.\ny\n", b"Subject: x\r\n\r\n"),
        (["a"], b"Subject: x\nbody\n", b"Subject: x\r\n\r\nbody\r\n"),
        (["a"], b"Subject: x\n", b"Subject: x\r\n\r\n"),
        (["a"], b"Bcc: z\nReturn-Path: <q>\nTo: a,\n b\n\n", b"To: a,\r\n b\r\n\r\n"),
        (["-i", "a"], b"\nlone\rCR\n", b"\r\nlone\r\nCR\r\n"),
        (["a"], b"", b"\r\n"),
    ],
)
def test_what_is_dropped(place: Path, line: list[str], data: bytes, message: bytes) -> None:
    assert send(place, line, data)[1] == message


def test_line_ends_over_pieces() -> None:
    body = b"a" * 65_535 + b"\r\nb\r\n." + b"c" * 65_536 + b"\n.\nd"
    for ignore in (True, False):
        message = Message(io.BytesIO(b"\n" + body), ignore)
        assert message.header() == b""
        got = b"".join(message.body())
        whole = body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") + b"\r\n"
        assert got == (whole if ignore else whole[: whole.index(b"\r\n.\r\nd") + 2])


def test_recipients_of_the_header(place: Path) -> None:
    data = b'To: "A, B" <a@b>, c\nCc: team: d@e;\nBcc: f@g\nSubject: x\n\nx\n'
    drop, message = send(place, ["-t", "h@i", "c"], data)
    assert drop.recipients == ("h@i", "c", "a@b", "d@e", "f@g")
    assert b"f@g" not in message


def test_resent_fields_go_first(place: Path) -> None:
    drop, message = send(place, ["-t"], b"To: a\nResent-To: b\nResent-Bcc: c\n\nx\n")
    assert drop.recipients == ("b", "c")
    assert message.startswith(b"To: a\r\nResent-To: b\r\n\r\n")


def test_who_sends(place: Path) -> None:
    assert send(place, ["a"], b"\n")[0].sender is None


@pytest.mark.parametrize(
    ("said", "sender"), [("", ""), ("<>", ""), ("b", "b"), ("<b@c>", "b@c"), ("B <b@c>", "b@c")]
)
def test_who_is_said_to_send(place: Path, said: str, sender: str) -> None:
    drop, _ = send(place, ["-f", said, "a"], b"\n")
    assert (drop.sender, drop.name) == (sender, "Full Name")


def test_the_rest_of_the_envelope(place: Path) -> None:
    drop, _ = send(place, ["-F", "N", "-N", "never", "-R", "full", "-V", "a+b", "a"], b"\n\xc3\xbc\n")
    assert drop.name == "N"
    assert drop.parameters == {"RET": "FULL", "ENVID": "a+2Bb", "NOTIFY": "NEVER"}
    assert drop.eight_bit


def test_xtext() -> None:
    assert xtext("a+b= \u00fc") == "a+2Bb+3D+20+C3+BC"


def test_exit_codes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fails([]).code == os.EX_USAGE
    assert fails(["-t"]).code == os.EX_USAGE
    assert fails(["-f", "a@@b", "c"]).code == os.EX_USAGE
    assert fails(["bad@@x"]).code == os.EX_NOUSER
    assert fails(["-t"], b"To: bad@@x\n\n").code == os.EX_DATAERR
    assert fails(["a"], b"Subject: " + b"x" * (2 << 20)).code == os.EX_DATAERR
    (place / FACTS).write_text("message_size 100\n")
    assert fails(["a"], b"\n" + b"x" * 200).code == os.EX_DATAERR
    assert os.listdir(place) == [FACTS]
    monkeypatch.setattr(module, "room", lambda directory: False)
    assert fails(["a"]).code == os.EX_TEMPFAIL
    monkeypatch.undo()
    monkeypatch.setenv(VARIABLE, str(place / "none"))
    assert fails(["a"]).code == os.EX_CONFIG


@pytest.mark.parametrize(
    ("number", "code"), [(13, os.EX_NOPERM), (28, os.EX_TEMPFAIL), (122, os.EX_TEMPFAIL), (5, os.EX_TEMPFAIL)]
)
def test_a_disk_that_does_not_take_it(
    place: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    def broken(file: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", broken)
    assert fails(["a"]).code == code
    assert os.listdir(place) == []
