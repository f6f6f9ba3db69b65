"""A message that is posted as it is: who it is from and for, where that is not said, and what must not go out.

Its address fields are read by a reader of our own, in one pass: that of `email` takes seconds for some, and recurses.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

from fastsmtp.mail.address import Address
from fastsmtp.routing.addresses import parse_address

MOST_HEAD = 64 << 10
"""Octets that a header may have, where it is looked at."""

# One field with all its lines (RFC 5322 §2.2.3).
_FIELD = rb"(?im)^(?:%b)[ \t]*:([^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*)"
_BCC = re.compile(_FIELD % b"(?:resent-)?bcc")
_FOR = re.compile(_FIELD % b"to|cc|bcc")
_FROM = re.compile(_FIELD % b"from")
# What matters in a list of addresses (RFC 5322 §3.4), or a run of what does not.
_MARK = re.compile(r'"(?:[^"\\]|\\.)*"|\\.|[()<>,:;"\\]|[^()<>,:;"\\]+', re.DOTALL)


class Header(Struct):
    """``recipients`` are those of To, Cc and Bcc; ``sender`` is that of From, None where it has not just one."""

    sender: Address | None
    recipients: list[Address]


def split(start: bytes) -> tuple[bytes, bytes] | None:
    """The header of a message that begins like this, with the empty line behind it, and the rest; None when it does
    not end there. Lines end with CRLF."""
    if start.startswith(b"\r\n"):
        return b"\r\n", start[2:]
    end = start.find(b"\r\n\r\n")
    return None if end < 0 else (start[: end + 4], start[end + 4 :])


def without_bcc(head: bytes) -> bytes:
    """``head`` without the field that nobody shall see."""
    return _BCC.sub(b"", head)


def read(head: bytes) -> Header:
    """Who it is from and for, by its header. Raises ValueError."""
    senders = list(_addresses(_FROM, "From", head))
    return Header(senders[0] if len(senders) == 1 else None, list(_addresses(_FOR, "To, Cc or Bcc", head)))


def _addresses(fields: re.Pattern[bytes], name: str, head: bytes) -> Iterator[Address]:
    for value in fields.findall(head):
        try:
            for text in listed(value.decode("utf-8")):
                yield parse_address(text)
        except ValueError:
            raise ValueError(
                f"{name}: there is an address that cannot be read; say from and to in the query"
            ) from None


def listed(text: str) -> Iterator[str]:
    """The addresses in a list, without names, groups and comments (RFC 5322 §3.4). Raises ValueError where it does
    not keep to the form; each address is still to be looked at."""
    plain, angle = "", None  # outside of <>, and within, None before there were any
    depth, within = 0, False
    for mark in _MARK.findall(text + ","):
        if depth:
            depth += (mark == "(") - (mark == ")")
        elif mark == "(":
            depth = 1
        elif within:
            if mark == ">":
                within = False
            else:
                angle = (angle or "") + mark
        elif mark == "<" and angle is None:
            within, angle = True, ""
        elif mark == ":":
            plain = ""
        elif mark in (",", ";"):
            found = plain.strip() if angle is None else angle.strip()
            if found:
                yield found
            elif angle is not None:
                raise ValueError("an empty address")
            plain, angle = "", None
        elif mark in ("<", ">", ")", '"', "\\") or (angle is not None and mark.strip()):
            raise ValueError("it does not keep to the form of a list of addresses")
        else:
            plain += mark
    if depth or within or plain.strip() or angle is not None:
        raise ValueError("it ends too early")
