"""Fields, parts and the multipart of a notification: whatever they hold, what comes out is well-formed mail.

This is the one place where a value meets the bytes around it. Control characters do not pass `field`; a body that
would not survive a 7-bit way does not pass `encoded` as it is; and no body can hold the boundary.
"""

import binascii
import hashlib
import re
from collections.abc import Sequence

from msgspec import Struct

FOLDED = 78
"""Characters of a line of a header, where it can be folded (RFC 5322 §2.1.1)."""

_LINE = 998  # octets without CRLF: RFC 5322 §2.1.1
_PIECE = 240  # characters, of at most four octets each, that a line can always hold
_LONG = re.compile(rb"(?:\A|\n)[^\r\n]{%d}" % (_LINE + 1))
_NO_LINE = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")  # RFC 2045 §2.7, §2.8
_WORD = re.compile(r" *[^ ]+")
_GAP = re.compile(r" {100,}")  # could become a line of blanks, which old readers take for an empty one


class Part(Struct, frozen=True):
    """One part of a multipart: its content type with parameters, its transfer encoding, its bytes so encoded."""

    type: str
    encoding: str
    body: bytes


def field(name: str, value: str, utf8: bool = False) -> bytes:
    """A header field with its CRLF, folded at blanks, and where there are none before a line would be too long.

    What is not printable becomes ``?``, and so does what is not ASCII unless ``utf8`` allows it: no value can end
    the field.
    """
    safe = "".join([c if c.isprintable() and (utf8 or c.isascii()) else "?" for c in value])
    lines = [f"{name}:"]
    for number, word in enumerate(_WORD.findall(f" {_GAP.sub(' ', safe.strip(' '))}")):
        if number and len(lines[-1]) + len(word) > FOLDED:
            lines.append(word)
        else:
            lines[-1] += word
    return b"".join([_cut(line) for line in lines])


def _cut(line: str) -> bytes:
    octets = line.encode()
    if len(octets) > _LINE:
        octets = b"\r\n ".join([line[at : at + _PIECE].encode() for at in range(0, len(line), _PIECE)])
    return octets + b"\r\n"


def lines_are_good(data: bytes) -> bool:
    """Whether ``data`` needs no encoding but for octets above 127: lines of at most 998 octets that end with CRLF,
    no NUL (RFC 2045 §2.8)."""
    return _LONG.search(data) is None and _NO_LINE.search(data) is None


def encoded(type: str, data: bytes, eight_bit: bool = False) -> Part:
    """``data``, text whose lines end with CRLF, as a part: as it is when it can be, else as quoted-printable.
    ``eight_bit``: whether octets above 127 may stay."""
    if lines_are_good(data) and (eight_bit or data.isascii()):
        return Part(type, "7bit" if data.isascii() else "8bit", data)
    # A line end in it tells b2a_qp to write CRLF at its own line breaks.
    text = data if data.endswith(b"\r\n") else data + b"\r\n"
    return Part(type, "quoted-printable", binascii.b2a_qp(text))


def multipart(parts: Sequence[Part]) -> tuple[str, bytes]:
    """The boundary and the body of ``parts``.

    The boundary is a hash of the parts: nobody can write a message that holds its own (RFC 2046 §5.1.1).
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.body)
    boundary = f"=_{digest.hexdigest()[:40]}"
    pieces = []
    for part in parts:
        head = f"Content-Type: {part.type}\r\nContent-Transfer-Encoding: {part.encoding}\r\n"
        pieces += [f"--{boundary}\r\n{head}\r\n".encode(), part.body, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return boundary, b"".join(pieces)
