"""What a notification brings back of the message it is about: its headers, or all of it (RFC 3461 §4.3, §6.2)."""

import base64
import re
from email.errors import HeaderParseError
from email.header import decode_header, make_header

from msgspec import Struct

from fastsmtp.bounce.decide import Notice
from fastsmtp.bounce.mime import Part, encoded, lines_are_good
from fastsmtp.mail.dsn_params import wants_all
from fastsmtp.mail.envelope import Envelope
from fastsmtp.mail.result import printable

WHOLE_LIMIT = 262_144
"""Octets of a message up to which all of it is brought back (RFC 3461 §6.2)."""

HEADERS_LIMIT = 65_536
"""Octets of a message that are looked at for its headers."""

_LINE_END = re.compile(rb"\r\n|\r|\n")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]+>")
_SHOWN = 200  # characters of a field that people are shown


class Original(Struct, frozen=True):
    """The message a notification is about: ``content`` its first octets, as many as `dsn.wanted` says, of ``size``
    in all."""

    content: bytes
    size: int

    def headers(self) -> bytes:
        """The fields before the first empty line, each line with CRLF, whatever the message had; what is beyond
        `HEADERS_LIMIT` is left out."""
        text = _LINE_END.sub(b"\r\n", self.content[:HEADERS_LIMIT])
        if text.startswith(b"\r\n"):
            return b""
        head, end, _ = text.partition(b"\r\n\r\n")
        if not end and self.size > HEADERS_LIMIT:
            head = head.rpartition(b"\r\n")[0]  # the last line may not be whole
        return head.rstrip(b"\r\n") + b"\r\n"


def whole_is_owed(notice: Notice, envelope: Envelope, size: int) -> bool:
    """Whether all of a message of ``size`` octets is to be brought back, if it is fit for it.

    All where the sender asked for it, and only of a failure (RFC 3461 §4.3); a list's owner did not ask (§5.2.7.1
    b). The postmaster is sent all of what failed without a sender, as nobody else will see it. Never of a message
    that may only travel encrypted (RFC 8689 §5).
    """
    asked = notice.double or (notice.kind == "failed" and not notice.from_list and wants_all(envelope.params))
    return asked and size <= WHOLE_LIMIT and "REQUIRETLS" not in (envelope.params or {})


def returned(original: Original, whole: bool, smtputf8: bool, eight_bit: bool) -> Part:
    """The third part: ``whole`` the message if it can be carried so, else its headers.

    ``smtputf8``: whether the message came as one that may have UTF-8 in its headers (RFC 6533 §4.2, §4.3);
    ``eight_bit``: whether the notification goes the same way, and need not be encoded. A message with an 8-bit body
    is brought back as it is; its notification then asks for 8BITMIME, which its sender used as well.
    """
    head = original.headers()
    international = smtputf8 and not head.isascii() and _is_utf8(head)
    if whole and original.size == len(original.content):
        content = original.content
        good = lines_are_good(content)
        if international:
            # RFC 6532 §3.7: message/global may be encoded, which message/rfc822 may not (RFC 2046 §5.2.1).
            if good and eight_bit:
                return Part("message/global", "8bit", content)
            return Part("message/global", "base64", base64.encodebytes(content).replace(b"\n", b"\r\n"))
        if good and head.isascii():
            return Part("message/rfc822", "7bit" if content.isascii() else "8bit", content)
    return encoded(
        "message/global-headers" if international else "text/rfc822-headers",
        head,
        eight_bit and international,
    )


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def find_field(headers: bytes, name: str) -> str:
    """A field of ``headers`` for people: unfolded, decoded (RFC 2047), printable, shortened; empty when missing."""
    match = re.search(rb"^%b[ \t]*:((?:.*\n[ \t])*.*)" % name.encode(), headers, re.IGNORECASE | re.MULTILINE)
    if match is None:
        return ""
    raw = " ".join(match[1][: 5 * _SHOWN].decode("utf-8", "replace").split())
    try:
        text = str(make_header(decode_header(raw)))
    except (HeaderParseError, LookupError, ValueError):
        text = raw  # a charset nobody knows, or octets that are not in it
    return printable(text, _SHOWN)


def message_id(headers: bytes) -> str:
    """The Message-ID with its brackets, empty when there is none that could stand in a field."""
    id = find_field(headers, "Message-ID")
    return id if _MESSAGE_ID.fullmatch(id) and "=?" not in id else ""
