"""STARTTLS (RFC 3207): offered in clear, never under TLS."""

from fastsmtp.smtp.extensions.base import Extension, Facts


def _line(facts: Facts) -> str | None:
    return "STARTTLS" if facts.starttls else None


EXTENSION = Extension(line=_line)
