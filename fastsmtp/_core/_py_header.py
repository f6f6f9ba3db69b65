"""Plain twin of ``header``."""

import re

MOST_HEADER = 16_384
LONGEST = 250

_FIELD = re.compile(
    rb"(?:\A|\r\n)message-id[ \t]*:((?:[^\r]|\r(?!\n)|\r\n[ \t])*)", re.IGNORECASE | re.DOTALL
)


def message_id(prefix: bytes, start: bytes | bytearray) -> str:
    """See header.pyi."""
    return _field(start) or _field(prefix)


def _field(header: bytes | bytearray) -> str:
    looked = bytes(header[:MOST_HEADER])
    if looked.startswith(b"\r\n"):
        return ""
    match = _FIELD.search(looked.partition(b"\r\n\r\n")[0])
    if match is None:
        return ""
    found = match[1].replace(b"\r\n", b"").strip()
    left, right = found.find(b"<"), found.find(b">")
    if 0 <= left < right:
        found = found[left + 1 : right]
    return found.decode("utf-8", "replace")[:LONGEST].strip()
