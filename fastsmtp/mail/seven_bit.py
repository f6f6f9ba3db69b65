"""From 8-bit or binary content to seven bits, for a server that takes nothing else (RFC 6152 §3, RFC 3030 §3).

Only what has to change does: the bodies of those MIME parts that hold octets above 127 (or are labelled binary),
and their Content-Transfer-Encoding fields (RFC 2045 §6). All else stays byte for byte. A DKIM signature over the body
does not survive that; a multipart/signed is not touched at all, its signature is what its reader looks at.
"""

import base64
import binascii
import re
from typing import NamedTuple

DEEPEST = 30
"""Parts within parts that are followed."""

LINE = 998
"""Octets of a line without its CRLF that may stay as they are (RFC 5322 §2.1.1)."""

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:((?:[^\r\n]|\r\n[ \t])*)\r\n")
_MIME = re.compile(rb"\nmime-version[ \t]*:", re.IGNORECASE)
_TYPE = re.compile(rb"\s*([^\s/;()]+)/([^\s;()]+)")
_BOUNDARY = re.compile(rb';\s*boundary\s*=\s*(?:"([^"\r\n\\]{1,70})"|([^\s;"()]{1,70}))', re.IGNORECASE)


class _Unconvertible(Exception):
    """The content has no faithful form in seven bits."""


class _Part(NamedTuple):
    """One entity: its header fields as they stand, and what they say, in lower case."""

    header: bytes
    body: bytes
    main: bytes
    sub: bytes
    value: bytes  # of Content-Type
    encoding: bytes
    typed: bool  # there is a Content-Type


def to_seven_bit(message: bytes) -> bytes | None:
    """``message`` with all octets below 128, meaning the same; None when there is no such form: 8-bit octets in a
    header (RFC 6532), in a signed part, or where MIME forbids an encoding (RFC 2046 §5.2). A message that is not
    MIME becomes text/plain of an unknown character set (RFC 1428 §3)."""
    try:
        converted = _convert(message, b"text/plain", 0, top=True)
    except _Unconvertible:
        return None
    return converted if converted.isascii() else None


def _convert(entity: bytes, default: bytes, depth: int, top: bool = False) -> bytes:
    if depth > DEEPEST:
        raise _Unconvertible
    part = _split(entity, default)
    if part is None:
        if entity.isascii():
            return entity
        raise _Unconvertible
    if part.encoding not in (b"7bit", b"8bit", b"binary"):
        if part.body.isascii():
            return entity  # it is encoded already
        raise _Unconvertible
    if part.body.isascii() and part.encoding == b"7bit":
        return entity
    if part.main == b"multipart":
        return _with_encoding(part, _multipart(part, depth), b"7bit")
    if part.main == b"message" and part.sub == b"rfc822":
        return _with_encoding(part, _convert(part.body, b"text/plain", depth + 1), b"7bit")
    if part.encoding != b"binary" and part.body.isascii() and _short_lines(part.body):
        return _with_encoding(part, part.body, b"7bit")
    if part.main == b"message" and part.sub != b"global":
        raise _Unconvertible  # RFC 2046 §5.2: no encoding may be put on these
    if top and not part.typed and not part.body.isascii():
        part = part._replace(header=part.header + b"Content-Type: text/plain; charset=unknown-8bit\r\n")
    if top and not _MIME.search(b"\n" + part.header):
        part = part._replace(header=part.header + b"MIME-Version: 1.0\r\n")  # without it no encoding counts
    if part.main == b"text" and _is_text(part.body):
        return _with_encoding(part, _quoted_printable(part.body), b"quoted-printable")
    encoded = base64.encodebytes(part.body).replace(b"\n", b"\r\n")
    return _with_encoding(part, encoded, b"base64")


def _split(entity: bytes, default: bytes) -> _Part | None:
    """Header and body of an entity (RFC 5322 §2.1), None when it has none; the header must be ASCII."""
    at = 0
    value, encoding, typed = default, b"7bit", False
    while match := _FIELD.match(entity, at):
        name = match[1].lower()
        if name == b"content-type":
            value, typed = match[2], True
        elif name == b"content-transfer-encoding":
            encoding = match[2].strip().lower()
        at = match.end()
    header = entity[:at]
    if not header.isascii():
        raise _Unconvertible
    if entity[at : at + 2] != b"\r\n":
        if at < len(entity):
            return None  # a line that is neither a field nor the end of the header
        return _Part(header, b"", b"text", b"plain", value, encoding, typed)
    media = _TYPE.match(value)
    main, sub = (media[1].lower(), media[2].lower()) if media else (b"application", b"octet-stream")
    return _Part(header, entity[at + 2 :], main, sub, value, encoding, typed)


def _multipart(part: _Part, depth: int) -> bytes:
    """The body of a multipart with its parts converted (RFC 2046 §5.1.1)."""
    found = _BOUNDARY.search(part.value)
    if part.sub == b"signed" or found is None:
        if part.body.isascii() and part.encoding != b"binary":
            return part.body
        raise _Unconvertible
    boundary = re.escape(found[1] or found[2])
    # The CRLF before a delimiter belongs to it; the one behind may be the next one's.
    delimiters = list(re.finditer(rb"(?:\A|\r\n)--" + boundary + rb"(--)?[ \t]*(?=\r\n|\Z)", part.body))
    if not delimiters:
        raise _Unconvertible
    default = b"message/rfc822" if part.sub == b"digest" else b"text/plain"  # RFC 2046 §5.1.5
    out = [part.body[: delimiters[0].start()]]
    for number, delimiter in enumerate(delimiters):
        out.append(delimiter[0])
        end = delimiters[number + 1].start() if number + 1 < len(delimiters) else len(part.body)
        content = part.body[delimiter.end() : end]
        if delimiter[1]:
            out.append(part.body[delimiter.end() :])  # the epilogue
            break
        if content.startswith(b"\r\n"):
            content = b"\r\n" + _convert(content[2:], default, depth + 1)
        out.append(content)
    return b"".join(out)


def _with_encoding(part: _Part, body: bytes, encoding: bytes) -> bytes:
    """The part with another body and the field that says how it is encoded, in the place of the old one."""
    if not body.isascii():
        raise _Unconvertible
    field = b"Content-Transfer-Encoding: " + encoding + b"\r\n"
    at, header, written = 0, bytearray(), False
    while match := _FIELD.match(part.header, at):
        if match[1].lower() == b"content-transfer-encoding":
            if not written:
                header += field
            written = True
        else:
            header += match[0]
        at = match.end()
    if not written and encoding != b"7bit":
        header += field
    return bytes(header) + b"\r\n" + body


def _short_lines(body: bytes) -> bool:
    return all(len(line) <= LINE for line in body.split(b"\r\n"))


def _is_text(body: bytes) -> bool:
    """Whether it has lines, and nothing that quoted-printable would have to guess about (RFC 2045 §6.7)."""
    rest = body.replace(b"\r\n", b"")
    return b"\r" not in rest and b"\n" not in rest and b"\0" not in rest


def _quoted_printable(body: bytes) -> bytes:
    """RFC 2045 §6.7, line by line, each line end being one of the text."""
    return b"\r\n".join(
        binascii.b2a_qp(line, istext=False).replace(b"=\n", b"=\r\n") for line in body.split(b"\r\n")
    )
