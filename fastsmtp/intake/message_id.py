"""The Message-ID of a message on its way in, for the log: by it senders ask where their mail is (RFC 5322 §3.6.4)."""

_BLANK = b"\r\n\r\n"
_NAMES = (b"\r\nMessage-ID:", b"\r\nMessage-Id:")
_USUAL = b"\r\nMessage-ID: <"
_SIZE = len(_NAMES[0])
_OURS = b"Message-ID:"
MOST_HEADER = 16_384
"""Octets of a header that are looked through."""
LONGEST = 250
"""Characters of an id that are kept."""


def message_id(prefix: bytes, start: bytes | bytearray) -> str:
    """The id in a header that begins with ``prefix``, whole lines of ours, and goes on with ``start``; without its
    brackets, empty where there is none. Cheap for the spellings that are usual."""
    at = start.find(_USUAL, 0, MOST_HEADER)
    if at >= 0 and start.find(_BLANK, 0, at + 2) < 0 and not start.startswith(b"\r\n"):
        end = start.find(b">\r\n", at, at + LONGEST)
        if end >= 0 and start.find(b"\r\n", at + 2, end) < 0:
            return start[at + len(_USUAL) : end].decode("utf-8", "replace")
    found = _find(start)
    if not found and _OURS in prefix:
        found = _find(prefix)
    if not found:
        return ""
    left, right = found.find(b"<"), found.find(b">")
    if 0 <= left < right:
        found = found[left + 1 : right]
    text = found.decode("utf-8", "replace")
    return text[:LONGEST].strip()


def _find(header: bytes | bytearray) -> bytes | bytearray:
    end = header.find(_BLANK, 0, MOST_HEADER)
    if end < 0:
        end = min(len(header), MOST_HEADER)
    elif header.startswith(b"\r\n"):
        return b""
    for name in _NAMES:
        at = header.find(name, 0, end)
        if at >= 0:
            return _value(header, at + _SIZE, end)
    lower = b"\r\n" + header[:end].lower()
    at = lower.find(b"\r\nmessage-id")
    while at >= 0:
        colon = header.find(b":", at + _SIZE - 3, end)
        if colon >= 0 and not header[at + _SIZE - 3 : colon].strip():
            return _value(header, colon + 1, end)
        at = lower.find(b"\r\nmessage-id", at + 1)
    return b""


def _value(header: bytes | bytearray, start: int, end: int) -> bytes | bytearray:
    """The field's body, unfolded as far as an id can be."""
    stop = header.find(b"\r\n", start, end)
    while 0 <= stop < end - 2 and header[stop + 2] in b" \t":
        stop = header.find(b"\r\n", stop + 2, end)
    return header[start : stop if stop >= 0 else end].replace(b"\r\n", b"").strip()
