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
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_what_is_added(start: bytes, added: bytes, whole: bool) -> None:
    assert missing_fields(start, "Q1", "mx.test", 1, whole=whole) == added
    assert missing_fields(bytearray(start), "Q1", "mx.test", 1, whole=whole) == added


@pytest.mark.parametrize(
    ("start", "added"),
    [
        (b"", ID + DATE),
        (b"Subject: x\r\n", ID + DATE),
        (b"Subject: x\r\nDate: now\r\n", ID),
        (b"Subject: x\r\n\tfolded\r\nmessage-id: <a@b>", DATE),
    ],
)
def test_without_an_empty_line(start: bytes, added: bytes) -> None:
    """All of a whole message is header then; where there is more of it nobody knows."""
    assert missing_fields(start, "Q1", "mx.test", 1, whole=True) == added
    assert missing_fields(start, "Q1", "mx.test", 1, whole=False) == b""
