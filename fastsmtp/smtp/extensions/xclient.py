"""XCLIENT (Postfix's XCLIENT_README): offered to clients that may use it."""

from fastsmtp.smtp.extensions.base import Extension, Facts
from fastsmtp.smtp.xclient import ATTRIBUTES


def _line(facts: Facts) -> str | None:
    return f"XCLIENT {' '.join(ATTRIBUTES)}" if facts.xclient else None


EXTENSION = Extension(line=_line)
