"""SIZE: message size declaration (RFC 1870)."""

from fastsmtp.mail import reply
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp.extensions.base import Extension, Facts


def _line(facts: Facts) -> str:
    return f"SIZE {facts.size}"


def _read(value: str | None) -> str | Reply:
    # RFC 1870 §4: size-value = 1*20DIGIT
    good = value is not None and value.isascii() and value.isdigit() and len(value) <= 20
    return value if good and value else reply.BAD_PARAMETER_VALUE


EXTENSION = Extension(line=_line, mail={"SIZE": _read})
