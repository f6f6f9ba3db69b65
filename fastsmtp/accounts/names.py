"""When two addresses are the same: the canonical forms of a domain and of a local part."""

import unicodedata

_LONGEST_DOMAIN = 255


def canonical_domain(domain: str) -> str:
    """``domain`` in lower case and A-labels, without a final dot. Never raises: what IDNA refuses, or what is
    too long to be a domain, comes back in lower case and equals no domain that IDNA accepts."""
    if not domain.isascii() and len(domain) <= _LONGEST_DOMAIN:
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            pass
    domain = domain.lower()
    return domain.removesuffix(".")


def canonical_local(local: str) -> str:
    """``local`` without regard to case. RFC 5321 §2.4 leaves that to the receiving host, RFC 6532 §3.1 asks
    for normal form C."""
    if local.isascii():
        return local.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).casefold())
