"""REQUIRETLS (RFC 8689): the message may leave by verified TLS only. Offered under TLS only (§2)."""

from fastsmtp.smtp.extensions.base import Extension, Facts, no_value


def _line(facts: Facts) -> str | None:
    return "REQUIRETLS" if facts.secured else None


EXTENSION = Extension(line=_line, mail={"REQUIRETLS": no_value})
