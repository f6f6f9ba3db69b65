"""Received fields are counted in the header alone, wherever it is cut."""

import pytest

from fastsmtp.intake.hops import HopCounter, may_circle

FIELD = b"Received: from a.test by b.test;\r\n\tTue, 1 Jan 2030 00:00:00 +0000\r\n"


def count(*pieces: bytes) -> int:
    counter = HopCounter()
    for piece in pieces:
        if not counter.ended:
            counter.feed(piece)
    return counter.count


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (FIELD * 3 + b"Subject: x\r\n\r\n" + FIELD, 3),
        (b"RECEIVED: x\r\nreceived:\r\nX-Received: y\r\nReceivedly: z\r\n\r\n", 2),
        (b"Subject: x\r\n Received: folded\r\n\r\nReceived: body\r\n", 0),
        (b"\r\n" + FIELD * 3, 0),
        (FIELD * 2, 2),
        (b"", 0),
    ],
)
def test_counting(message: bytes, fields: int) -> None:
    assert count(message) == fields
    assert count(*(message[i : i + 1] for i in range(len(message)))) == fields
    for cut in range(len(message)):
        assert count(message[:cut], message[cut:]) == fields


def test_most_messages_need_not_be_counted() -> None:
    short = b"Received:\r\n"
    assert not may_circle(short * 10, 10)
    assert may_circle(short * 11, 10)
    assert may_circle(bytearray(short * 11), 10)
    assert not may_circle(b"Subject: x\r\n\r\n" + b"y" * 1000, 10)
    assert not may_circle(b"\r\n" + short * 20, 10)
    # a blank line behind as many fields as need counting
    assert may_circle(short * 12 + b"\r\n", 10)
