"""A delivery status notification as a message (RFC 3461 §6, RFC 3464 §2, RFC 6522, RFC 6533 §4)."""

from email.header import Header

from msgspec import Struct

from fastsmtp.bounce.decide import Notice
from fastsmtp.bounce.letter import letter, subject
from fastsmtp.bounce.mime import field, multipart
from fastsmtp.bounce.original import HEADERS_LIMIT, Original, message_id, returned, whole_is_owed
from fastsmtp.bounce.status import date, delivery_status
from fastsmtp.mail.envelope import Envelope

_LONGEST_ADDRESS = 900  # octets that fit into a line of a header


class Dsn(Struct, frozen=True):
    """A message to be sent from the null sender to ``recipient``; ``params`` are MAIL's: BODY and SMTPUTF8 where the
    content needs them, REQUIRETLS where the message had it (RFC 3461 §6.1: RET never, ENVID not needed)."""

    recipient: str
    params: dict[str, str] | None
    content: bytes


def wanted(notice: Notice, envelope: Envelope, size: int) -> int:
    """How many of the first octets of the message, of ``size`` in all, `compose` needs."""
    return size if whole_is_owed(notice, envelope, size) else min(size, HEADERS_LIMIT)


def compose(
    notice: Notice, envelope: Envelope, original: Original, hostname: str, id: str, now: float
) -> Dsn:
    """The notification that ``notice`` owes, about the message of ``envelope``.

    ``hostname`` is this server's, ASCII; ``id`` the queue id of the notification, ``now`` the time in seconds since
    1970 UTC. The content has CRLF at every line's end, no line over 998 octets, and is 7-bit unless ``params`` say
    otherwise.
    """
    utf8 = not notice.to.isascii()
    came_with = envelope.params or {}
    headers = original.headers()
    third = returned(
        original,
        whole=whole_is_owed(notice, envelope, original.size),
        smtputf8="SMTPUTF8" in came_with,
        eight_bit=utf8,
    )
    whole = third.type in ("message/rfc822", "message/global")
    parts = (
        letter(notice, envelope, headers, whole, hostname),
        delivery_status(notice, envelope, hostname, utf8),
        third,
    )
    params = {}
    if any(part.encoding == "8bit" for part in parts):
        params["BODY"] = "8BITMIME"
    if utf8:
        params["SMTPUTF8"] = ""
    if "REQUIRETLS" in came_with:
        params["REQUIRETLS"] = ""  # RFC 8689 §5: what is told of a message is as secret as the message
    boundary, body = multipart(parts)
    about = message_id(headers)
    fields = [
        ("From", f"Mail Delivery System <MAILER-DAEMON@{hostname}>"),
        # RFC 3464 §2: to the envelope's return address, in the header as well
        (
            "To",
            f"<{notice.to}>" if len(notice.to.encode()) <= _LONGEST_ADDRESS else "undisclosed-recipients:;",
        ),
        ("Subject", _unstructured(subject(notice))),
        ("Date", date(now)),
        ("Message-ID", f"<{id}@{hostname}>"),
        # RFC 3834 §3.1.5: what a message is in answer to
        *([("In-Reply-To", about), ("References", about)] if about else []),
        # RFC 3834 §5: what goes to the postmaster answers nobody
        ("Auto-Submitted", "auto-generated" if notice.double else "auto-replied"),
        ("MIME-Version", "1.0"),
        ("Content-Type", f'multipart/report; report-type=delivery-status; boundary="{boundary}"'),
        ("Content-Transfer-Encoding", "8bit" if "BODY" in params else "7bit"),
    ]
    head = b"".join([field(name, value, utf8) for name, value in fields])
    return Dsn(notice.to, params or None, head + b"\r\n" + body)


def _unstructured(text: str) -> str:
    """``text`` for an unstructured field: encoded when it is not ASCII, or would be taken for encoded (RFC 2047
    §2)."""
    if text.isascii() and "=?" not in text:
        return text
    return Header(text, "utf-8").encode(linesep="")  # without its line ends, as `field` folds
