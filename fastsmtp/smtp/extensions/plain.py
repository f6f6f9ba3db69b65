"""Extensions that are a promise and bring no parameters."""

from fastsmtp.smtp.extensions.base import Extension, Facts, keyword

PIPELINING = Extension(line=keyword("PIPELINING"))  # RFC 2920
CHUNKING = Extension(line=keyword("CHUNKING"))  # RFC 3030 §2
ENHANCEDSTATUSCODES = Extension(line=keyword("ENHANCEDSTATUSCODES"))  # RFC 2034


def _limits(facts: Facts) -> str:
    return f"LIMITS RCPTMAX={facts.recipients}"


LIMITS = Extension(line=_limits)  # RFC 9422
