"""What a message of one of our users lacks: Message-ID and Date (RFC 6409 §8.2, §8.3)."""

import re

from fastsmtp.intake.trace_fields import date_field

_FIELD = re.compile(rb"(?:\A|\r\n)(message-id|date)[ \t]*:", re.IGNORECASE)


def missing_fields(
    start: bytes | bytearray, queue_id: str, hostname: str, seconds: float, *, whole: bool
) -> bytes:
    """The fields to put before a message that starts like this, each with its CRLF; nothing when its header does not
    end there, since nobody knows then. ``whole``: there is no more of it, so that one without an empty line is all
    header (RFC 5322 §3.5). ``seconds`` since 1970 UTC is when it came."""
    end = 0 if start.startswith(b"\r\n") else start.find(b"\r\n\r\n")
    if end < 0:
        if not whole:
            return b""
        end = len(start)
    found = {name.lower() for name in _FIELD.findall(start, 0, end)}
    fields = ""
    if b"message-id" not in found:
        fields += f"Message-ID: <{queue_id}@{hostname}>\r\n"
    if b"date" not in found:
        fields += f"Date: {date_field(seconds)}\r\n"
    return fields.encode("ascii")
