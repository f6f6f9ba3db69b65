"""8BITMIME and BINARYMIME share the BODY parameter (RFC 6152 §2, RFC 3030 §3)."""

from fastsmtp.smtp.extensions.base import Extension, keyword, one_of

EIGHTBIT = Extension(line=keyword("8BITMIME"), mail={"BODY": one_of("7BIT", "8BITMIME", "BINARYMIME")})
BINARY = Extension(line=keyword("BINARYMIME"))
