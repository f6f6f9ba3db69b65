"""From a mailbox's address to its directory, by a pattern, safe against every byte an address may hold.

A part of the address becomes exactly one file name: ``/``, NUL, control bytes, ``%`` and a leading dot are
written as ``%XX``, so nothing climbs or hides, and two addresses never share a name. A name too long for a file
system is cut, and the hash of the whole appended behind ``%~``, which no encoding gives.
"""

import os
import re
from hashlib import sha256

_UNSAFE = re.compile(rb"^\.|[\x00-\x1f/%\x7f]")
_LONGEST = 200
_KEPT = 150
_FIELD = re.compile(r"\{[^{}]*\}|[{}]")


class Layout:
    """``pattern`` holds ``{user}`` and perhaps ``{domain}``; ``root`` is the directory that all mailboxes lie below.
    Raises ValueError, in words, for any other pattern."""

    __slots__ = ("pattern", "root")

    def __init__(self, pattern: str) -> None:
        fields = _FIELD.findall(pattern)
        if "{user}" not in fields:
            raise ValueError(f'"{pattern}" lacks {{user}}: all users would share one mailbox')
        for field in fields:
            if field not in ("{user}", "{domain}"):
                raise ValueError(f'"{pattern}" holds {field}; only {{user}} and {{domain}} are known')
        if "\0" in pattern or pattern.rstrip("/").endswith((".", "..")):
            raise ValueError(f'"{pattern}" is no path')
        self.pattern = pattern
        above, slash, _ = pattern.partition("{")[0].rpartition("/")
        self.root = os.fsencode(above or slash or ".")

    def path(self, mailbox: str) -> bytes:
        """The Maildir of ``user@domain``."""
        user, _, domain = mailbox.rpartition("@")
        names = {"{user}": safe_name(user), "{domain}": safe_name(domain)}
        return _FIELD.sub(lambda match: names[match[0]], self.pattern).encode("utf-8", "surrogateescape")


def safe_name(part: str) -> str:
    """One part of an address as one file name."""
    raw = part.encode("utf-8", "surrogateescape")
    name = _UNSAFE.sub(lambda match: b"%%%02X" % match[0][0], raw) or b"%"
    if len(name) > _LONGEST:
        name = name[:_KEPT] + b"%~" + sha256(raw).hexdigest()[:32].encode()
    return name.decode("utf-8", "surrogateescape")
