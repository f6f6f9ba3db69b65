"""Fields of a header, as whoever drops mail and whoever takes it look at them (RFC 5322 §2.2)."""

from fastsmtp.maildrop.lists import qualified

MOST = 1 << 20
"""Octets of a header."""
_ADDRESSES = frozenset(
    {
        *("from", "sender", "reply-to", "to", "cc", "bcc"),
        *("resent-from", "resent-sender", "resent-to", "resent-cc", "resent-bcc"),
    }
)


class Field:
    """One field: ``raw`` is all of it, its lines ended by CRLF; ``name`` in lower case."""

    __slots__ = ("name", "raw")

    def __init__(self, name: str, raw: bytes) -> None:
        self.name = name
        self.raw = raw

    @property
    def text(self) -> str:
        """What is behind the colon, in one line."""
        body = self.raw.partition(b":")[2].replace(b"\r\n", b"")
        return body.decode("utf-8", "surrogateescape").strip()


def field_name(line: bytes) -> str:
    """The name of the field that ``line`` begins, in lower case; empty when it begins none."""
    name, colon, _ = line.partition(b":")
    name = name.rstrip(b" \t")
    if not colon or not name or not all(33 <= octet <= 126 for octet in name):
        return ""
    return name.decode("ascii").lower()


def fields(header: bytes) -> list[Field]:
    """The fields of ``header``, whose lines end with CRLF."""
    found: list[Field] = []
    for line in header.split(b"\r\n"):
        if line[:1] in (b" ", b"\t") and found:
            found[-1].raw += line + b"\r\n"
        elif line:
            found.append(Field(field_name(line), line + b"\r\n"))
    return found


def completed(header: bytes, sender: str, name: str, domain: str) -> bytes:
    """``header`` of a message of one of our users: with a From, ``name`` and ``sender``, where there is none, and
    with ``@domain`` behind each address that has no domain."""
    found = fields(header)
    pieces = [_qualified(field, domain) for field in found]
    if not any(field.name == "from" for field in found):
        pieces.insert(0, _from(sender or f"MAILER-DAEMON@{domain}", name))
    return b"".join(pieces)


def _qualified(field: Field, domain: str) -> bytes:
    if field.name not in _ADDRESSES:
        return field.raw
    label, _, body = field.raw.partition(b":")
    text = body.decode("utf-8", "surrogateescape")
    changed = qualified(text, domain)
    return field.raw if changed == text else label + b":" + changed.encode("utf-8", "surrogateescape")


def _from(sender: str, name: str) -> bytes:
    if not name:
        return f"From: {sender}\r\n".encode("utf-8", "surrogateescape")
    if not name.isascii():
        import base64

        word = base64.b64encode(name[:30].encode("utf-8", "replace")).decode("ascii")
        return f"From: =?utf-8?B?{word}?= <{sender}>\r\n".encode("utf-8", "surrogateescape")
    safe = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'From: "{safe}" <{sender}>\r\n'.encode("utf-8", "surrogateescape")
