"""When two addresses are the same: the canonical forms of a domain, of a local part, and of a login."""

import unicodedata

from fastsmtp.idn import to_ascii
from fastsmtp.sasl.prep import saslprep

_LONGEST_DOMAIN = 255
_LONGEST_LOCAL = 64  # RFC 5321 §4.5.3.1.1, in octets
LONGEST_LOGIN = _LONGEST_LOCAL + 1 + _LONGEST_DOMAIN
"""Octets of a login in its canonical form."""


def canonical_domain(domain: str) -> str:
    """``domain`` in lower case and A-labels, without a final dot. Never raises: what IDNA refuses, or what is
    too long to be a domain, comes back in lower case and equals no domain that IDNA accepts."""
    if not domain.isascii() and len(domain) <= _LONGEST_DOMAIN:
        try:
            domain = to_ascii(domain)
        except ValueError:
            pass
    domain = domain.lower()
    return domain.removesuffix(".")


def canonical_local(local: str) -> str:
    """``local`` without regard to case. RFC 5321 §2.4 leaves that to the receiving host, RFC 6532 §3.1 asks
    for normal form C."""
    if local.isascii():
        return local.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).casefold())


def canonical_login(login: str, home: str = "") -> str | None:
    """The account ``user@domain`` that ``login`` means, None when it can be nobody's: too long, not to be prepared
    (RFC 4013), or without a local part. A login without a domain is one of ``home``, which is canonical; without
    ``home`` it is nobody's."""
    if len(login) > LONGEST_LOGIN:
        return None
    try:
        prepared = saslprep(login)
    except ValueError:
        return None
    local, at, domain = prepared.rpartition("@")
    local, domain = (local, canonical_domain(domain)) if at else (domain, home)
    name = f"{canonical_local(local)}@{domain}"
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return None
    return name if local and domain and domain.isascii() and length <= LONGEST_LOGIN else None
