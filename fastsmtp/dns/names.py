"""Domain names as this program writes them: A-labels in lower case, without the final dot."""

import re

from fastsmtp.idn import to_ascii

_LONGEST = 253
"""Letters of the longest name: 255 octets on the wire (RFC 1035 §2.3.4)."""
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")


def normal(name: str) -> str:
    """``name`` in that form; raises ValueError for what cannot be the name of a host or a domain. The underscore of
    names such as ``_25._tcp.example.org`` is allowed (RFC 8552)."""
    if not name.isascii():
        if len(name) > _LONGEST:
            raise ValueError("longer than a domain name can be")
        try:
            name = to_ascii(name)
        except ValueError:
            raise ValueError("not a domain name") from None
    name = name.lower().removesuffix(".")
    if len(name) > _LONGEST:
        raise ValueError("longer than a domain name can be")
    if not _NAME.fullmatch(name):
        raise ValueError("not a domain name")
    return name


def matches(pattern: str, name: str) -> bool:
    """Whether ``name`` is ``pattern``, or, for ``*.example.org``, one label below it (RFC 6125 §6.4.3, RFC 8461
    §4.1). Both in normal form."""
    if pattern.startswith("*."):
        _, dot, parent = name.partition(".")
        return bool(dot) and parent == pattern[2:]
    return name == pattern
