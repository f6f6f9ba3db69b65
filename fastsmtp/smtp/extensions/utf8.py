"""SMTPUTF8: addresses and headers in UTF-8 (RFC 6531)."""

from fastsmtp.smtp.extensions.base import Extension, keyword, no_value

EXTENSION = Extension(line=keyword("SMTPUTF8"), mail={"SMTPUTF8": no_value})
