"""Reads a notification as a foreign program would, by Python's `email`, and checks what holds of every one."""

import re
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from typing import cast

from fastsmtp.bounce.dsn import Dsn

STATUS = ("message/delivery-status", "message/global-delivery-status")
ORIGINAL = ("text/rfc822-headers", "message/rfc822", "message/global-headers", "message/global")


@dataclass
class Read:
    """A notification in its parts: ``text`` for people, ``message`` and ``recipients`` the groups of fields for
    programs, ``original`` the octets that came back and ``original_type`` how."""

    head: EmailMessage
    text: str
    status_type: str
    message: dict[str, str]
    recipients: list[dict[str, str]]
    original_type: str
    original_encoding: str
    original: bytes


def decoded(part: EmailMessage, raw: bytes) -> bytes:
    """The octets of a part that were encoded as its field says."""
    holder = EmailMessage(SMTP)
    holder["Content-Type"] = "application/octet-stream"
    holder["Content-Transfer-Encoding"] = part["Content-Transfer-Encoding"]
    holder.set_payload(raw.decode("latin-1"))
    encoding = part["Content-Transfer-Encoding"]
    return raw if encoding in ("7bit", "8bit") else cast(bytes, holder.get_payload(decode=True))


def fields(group: bytes) -> dict[str, str]:
    """The fields of one group, unfolded, by name, each at most once."""
    found: dict[str, str] = {}
    for line in re.sub(rb"\r\n([ \t])", rb"\1", group).decode().split("\r\n"):
        name, colon, value = line.partition(":")
        assert colon, line
        assert name not in found, line
        found[name] = value.strip()
    return found


def read(dsn: Dsn) -> Read:
    """The parts of ``dsn``; what is wrong with it is an AssertionError."""
    content = dsn.content
    params = dsn.params or {}
    assert set(params) <= {"BODY", "SMTPUTF8", "REQUIRETLS"}
    assert re.search(rb"\r(?!\n)|(?<!\r)\n|\0", content) is None
    assert content.endswith(b"\r\n")
    assert max(map(len, content.split(b"\r\n"))) <= 998
    if "BODY" not in params:
        assert content.partition(b"\r\n\r\n")[2].isascii()
    if "SMTPUTF8" not in params:
        assert content.partition(b"\r\n\r\n")[0].isascii()

    message = cast(EmailMessage, message_from_bytes(content, policy=default))
    assert message.get_content_type() == "multipart/report"
    assert message["Content-Type"].params["report-type"] == "delivery-status"
    assert list(message.defects) == []
    for name in set(message) - {"To"}:  # which is a stranger's, and `email` finds fault with UTF-8 in it
        assert list(message[name].defects) == [], name
    boundary = message.get_boundary()
    assert boundary is not None
    assert content.count(boundary.encode()) == 5  # named once, and four times between and around three parts

    parts = [cast(EmailMessage, part) for part in message.get_payload()]
    raw = [piece.partition(b"\r\n\r\n")[2] for piece in content.split(b"--" + boundary.encode())[1:4]]
    raw = [piece.removesuffix(b"\r\n") for piece in raw]
    assert parts[0].get_content_type() == "text/plain"
    assert parts[1].get_content_type() in STATUS
    assert parts[2].get_content_type() in ORIGINAL
    for part, octets in zip(parts, raw, strict=True):
        if part["Content-Transfer-Encoding"] != "8bit":
            assert octets.isascii()
    # before RFC 6532 a message could not be encoded within a message, so that old readers do not look for it
    assert parts[1].get_content_type() != STATUS[0] or parts[1]["Content-Transfer-Encoding"] == "7bit"
    assert parts[2].get_content_type() != "message/rfc822" or "bit" in parts[2]["Content-Transfer-Encoding"]

    status = decoded(parts[1], raw[1])
    assert status.endswith(b"\r\n")
    groups = [fields(group.removesuffix(b"\r\n")) for group in status.split(b"\r\n\r\n")]
    if parts[1].get_content_type() == STATUS[0]:
        foreign = [list(group) for group in cast(list[EmailMessage], parts[1].get_payload())]
        assert [names for names in foreign if names] == [list(group) for group in groups]
    return Read(
        head=message,
        text=cast(str, parts[0].get_content()).replace("\r\n", "\n"),
        status_type=parts[1].get_content_type(),
        message=groups[0],
        recipients=groups[1:],
        original_type=parts[2].get_content_type(),
        original_encoding=parts[2]["Content-Transfer-Encoding"],
        original=decoded(parts[2], raw[2]),
    )
