"""Fields that messages of our users lack."""

import pytest

from fastsmtp.intake.submitted import missing_fields

ID, DATE = b"Message-ID: <Q1@mx.test>\r\n", b"Date: Thu, 1 Jan 1970 00:00:01 +0000\r\n"


@pytest.mark.parametrize(
    ("start", "added"),
    [
        (b"Subject: x\r\n\r\nbody", ID + DATE),
        (b"\r\nDate: in the body\r\n", ID + DATE),
        (b"MESSAGE-ID: <a@b>\r\nSubject: x\r\n\r\n", DATE),
        (b"Subject: x\r\ndate : now\r\n\r\n", ID),
        (b"Subject: x\r\nDate: now\r\nMessage-Id:\r\n <a@b>\r\n\r\n", b""),
        (b"Subject: x\r\n Date: folded\r\nResent-Message-ID: <a@b>\r\n\r\nDate: body\r\n\r\n", ID + DATE),
        (b"X-Date: x\r\nDate2: x\r\n\r\n", ID + DATE),
        (b"Subject: no end of the header", b""),
    ],
)
def test_what_is_added(start: bytes, added: bytes) -> None:
    assert missing_fields(start, "Q1", "mx.test", 1) == added
    assert missing_fields(bytearray(start), "Q1", "mx.test", 1) == added
