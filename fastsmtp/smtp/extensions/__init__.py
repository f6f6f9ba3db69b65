"""The extensions this server speaks, in the order EHLO announces them. A new one is a file and a line here."""

from fastsmtp.smtp.extensions import (
    auth,
    body,
    dsn,
    future_release,
    plain,
    requiretls,
    size,
    starttls,
    utf8,
    xclient,
)
from fastsmtp.smtp.extensions.base import Extension, Facts

EXTENSIONS: tuple[Extension, ...] = (
    plain.PIPELINING,
    size.EXTENSION,
    starttls.EXTENSION,
    auth.EXTENSION,
    body.EIGHTBIT,
    utf8.EXTENSION,
    plain.CHUNKING,
    body.BINARY,
    plain.ENHANCEDSTATUSCODES,
    dsn.EXTENSION,
    requiretls.EXTENSION,
    future_release.EXTENSION,
    xclient.EXTENSION,
    plain.LIMITS,
)

__all__ = ["EXTENSIONS", "Extension", "Facts"]
