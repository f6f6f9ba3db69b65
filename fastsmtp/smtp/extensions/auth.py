"""AUTH (RFC 4954): the mechanisms; and whom a client says a message is from, which nobody believes."""

import re

from fastsmtp.mail import reply
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp.extensions.base import Extension, Facts

_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")  # RFC 3461 §4; "<>" is within


def _line(facts: Facts) -> str | None:
    return f"AUTH {' '.join(facts.mechanisms)}" if facts.mechanisms else None


def _read(value: str | None) -> str | Reply:
    good = value is not None and len(value) <= 500 and _XTEXT.fullmatch(value)
    return value if good and value else reply.BAD_PARAMETER_VALUE


EXTENSION = Extension(line=_line, mail={"AUTH": _read})
