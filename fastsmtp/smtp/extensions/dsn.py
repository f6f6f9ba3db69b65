"""DSN: what the sender wants to be told (RFC 3461). Kept with the envelope, for the queue."""

import re

from fastsmtp.mail import reply
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp.extensions.base import Extension, keyword, one_of

_XTEXT = r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})"  # RFC 3461 §4
_ENVID = re.compile(rf"{_XTEXT}{{1,100}}")
_ORCPT = re.compile(
    rf"[A-Za-z0-9\-]+;(?:{_XTEXT}|[\u00a0-\u2027\u202a-\U0010ffff])+"
)  # utf-8 types: RFC 6533 §3
_NOTIFY = {"SUCCESS", "FAILURE", "DELAY"}


def _read_envid(value: str | None) -> str | Reply:
    return value if value is not None and _ENVID.fullmatch(value) else reply.BAD_PARAMETER_VALUE


def _read_orcpt(value: str | None) -> str | Reply:
    good = value is not None and len(value) <= 500 and _ORCPT.fullmatch(value)
    return value if good and value else reply.BAD_PARAMETER_VALUE


def _read_notify(value: str | None) -> str | Reply:
    # RFC 3461 §4.1: NEVER stands alone, the others once each
    words = (value or "").upper().split(",")
    if words == ["NEVER"] or (set(words) <= _NOTIFY and len(set(words)) == len(words)):
        return ",".join(words)
    return reply.BAD_PARAMETER_VALUE


EXTENSION = Extension(
    line=keyword("DSN"),
    mail={"RET": one_of("FULL", "HDRS"), "ENVID": _read_envid},
    rcpt={"NOTIFY": _read_notify, "ORCPT": _read_orcpt},
)
