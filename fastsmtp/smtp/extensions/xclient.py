"""XCLIENT (Postfix's XCLIENT_README): offered to clients that may use it."""

from fastsmtp.smtp.extensions.base import Extension, Facts
from fastsmtp.smtp.xclient import ANNOUNCED


def _line(facts: Facts) -> str | None:
    words = [word for word in ANNOUNCED if word != "LOGIN" or not facts.lmtp]
    return f"XCLIENT {' '.join(words)}" if facts.xclient else None


EXTENSION = Extension(line=_line)
