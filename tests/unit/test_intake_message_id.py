"""The Message-ID is found however it is written, in the header alone."""

import pytest

from fastsmtp.intake.message_id import LONGEST, MOST_HEADER, message_id


@pytest.mark.parametrize(
    ("start", "found"),
    [
        (b"Subject: x\r\nMessage-ID: <1@x>\r\n\r\nbody", "1@x"),
        (b"Subject: x\r\nMessage-Id:<1@x>\r\n\r\nbody", "1@x"),
        (b"MESSAGE-ID  : <1@x>\r\nSubject: x\r\n\r\nbody", "1@x"),
        (b"Subject: x\r\nmessage-id:\r\n <1@x>\r\n\r\n", "1@x"),
        (b"Subject: x\r\nmessage-identity: 7\r\nmessage-iD: (x) <1@x>\r\n\r\n", "1@x"),
        (b"Message-ID: <1@x>", "1@x"),
        (b"Message-ID: odd one\r\n\r\n", "odd one"),
        (b"Subject: x\r\nMessage-ID: <a\xff@x>\r\n\r\n", "a\ufffd@x"),
        (b"Subject: x\r\nMessage-ID:", ""),
        (b"Subject: x\r\n\r\nMessage-ID: <1@x>\r\n\r\n", ""),
        (b"\r\nSubject: x\r\nMessage-ID: <1@x>\r\n\r\n", ""),
        (b"X-Message-ID: <1@x>\r\n\r\n", ""),
        (b"\r\nMessage-ID: <1@x>\r\n\r\n", ""),
        (b"A: b\r\nMessage-ID: <\r\n 1@x>\r\n\r\n", "1@x"),
        (b"A: b\r\nMessage-ID: <1@x\r\nB: <2@x>\r\n\r\n", "<1@x"),
        (b"", ""),
    ],
)
def test_found(start: bytes, found: str) -> None:
    assert message_id(b"Received: y\r\n", start) == found
    assert message_id(b"Received: y\r\n", bytearray(start)) == found


def test_one_of_ours() -> None:
    assert message_id(b"Message-ID: <2@y>\r\nReceived: y\r\n", b"Subject: x\r\n\r\n") == "2@y"


def test_bounds() -> None:
    assert message_id(b"", b"Message-ID: <" + b"x" * 5000 + b">\r\n\r\n") == "x" * LONGEST
    late = b"X: " + b"y" * MOST_HEADER + b"\r\nMessage-ID: <1@x>\r\n\r\n"
    assert message_id(b"", late) == ""
