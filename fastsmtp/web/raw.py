"""A message that is posted as it is: who it is from and for, where that is not said, and what must not go out."""

import re
from email import policy
from email.errors import InvalidHeaderDefect
from email.headerregistry import AddressHeader
from email.parser import BytesParser

from msgspec import Struct

from fastsmtp.mail.address import Address
from fastsmtp.routing.addresses import parse_address

MOST_HEAD = 64 << 10
"""Octets that a header may have, where it is looked at."""

# One field with all its lines (RFC 5322 §2.2.3).
_BCC = re.compile(rb"(?im)^(?:resent-)?bcc[ \t]*:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*")


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
    parsed = BytesParser(policy=policy.SMTPUTF8).parsebytes(head, headersonly=True)
    recipients = []
    for name in ("To", "Cc", "Bcc"):
        for field in parsed.get_all(name, ()):
            recipients += _addresses(name, field)
    senders = [address for field in parsed.get_all("From", ()) for address in _addresses("From", field)]
    return Header(senders[0] if len(senders) == 1 else None, recipients)


def _addresses(name: str, field: object) -> list[Address]:
    defects = getattr(field, "defects", ())
    if not isinstance(field, AddressHeader) or any(isinstance(one, InvalidHeaderDefect) for one in defects):
        raise ValueError(f"{name}: it cannot be read; say from and to in the query")
    try:
        return [parse_address(one.addr_spec) for one in field.addresses]
    except ValueError:
        raise ValueError(
            f"{name}: there is an address that cannot be read; say from and to in the query"
        ) from None
