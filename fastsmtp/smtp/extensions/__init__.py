"""The extensions this server speaks, in the order EHLO announces them. A new one is a file and a line here."""

from fastsmtp.smtp.extensions import body, dsn, plain, size, utf8
from fastsmtp.smtp.extensions.base import Extension, Facts

EXTENSIONS: tuple[Extension, ...] = (
    plain.PIPELINING,
    size.EXTENSION,
    body.EIGHTBIT,
    utf8.EXTENSION,
    plain.CHUNKING,
    body.BINARY,
    plain.ENHANCEDSTATUSCODES,
    dsn.EXTENSION,
    plain.LIMITS,
)

__all__ = ["EXTENSIONS", "Extension", "Facts"]
