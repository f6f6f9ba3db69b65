"""FUTURERELEASE: the sender says when a message may go out (RFC 4865). Kept with the envelope, for the queue."""

import re

from fastsmtp.mail import reply
from fastsmtp.mail.future_release import HOLDFOR, HOLDUNTIL, parse_date_time
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp.extensions.base import Extension, Facts

_SECONDS = re.compile(r"[1-9][0-9]{0,8}")


def _line(facts: Facts) -> str | None:
    return f"FUTURERELEASE {facts.future_release}" if facts.future_release else None


def _read_seconds(value: str | None) -> str | Reply:
    return value if value is not None and _SECONDS.fullmatch(value) else reply.BAD_PARAMETER_VALUE


def _read_date_time(value: str | None) -> str | Reply:
    good = value is not None and parse_date_time(value) is not None
    return value.upper() if good and value else reply.BAD_PARAMETER_VALUE


EXTENSION = Extension(line=_line, mail={HOLDFOR: _read_seconds, HOLDUNTIL: _read_date_time})
