"""What stands in the mailboxes: files of a Maildir taken apart into the server's prefix and what was sent."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SIZE = re.compile(r",S=([0-9]+)")
_ID = re.compile(rb"\bid ([0-9A-Za-z]{10,})\b")


def digest(content: bytes) -> str:
    """The hash by which a message is recognised."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


@dataclass(frozen=True)
class Arrived:
    """One delivered message: ``content`` is what the client sent, ``queue_id`` from the Received field."""

    path: Path
    return_path: str
    received: bytes
    queue_id: str
    content: bytes

    @property
    def digest(self) -> str:
        """The hash of the content."""
        return digest(self.content)


def _field(raw: bytes, start: int, name: bytes, newline: bytes) -> int:
    """The end of the (folded) field that begins at ``start`` and must have this name."""
    assert raw.startswith(name, start), f"expected {name!r} at {start}: {raw[start : start + 80]!r}"
    while True:
        end = raw.index(newline, start) + len(newline)
        if raw[end : end + 1] not in (b" ", b"\t"):
            return end
        start = end


def read(path: Path, newline: bytes = b"\r\n") -> Arrived:
    """Take one mailbox file apart; fails when its prefix, or the size in its name, is not as promised."""
    raw = path.read_bytes()
    named = _SIZE.search(path.name)
    assert named, f"no ,S= in {path.name}"
    assert int(named.group(1)) == len(raw), f"{path.name} has {len(raw)} bytes"
    first = _field(raw, 0, b"Return-Path: <", newline)
    second = _field(raw, first, b"Received: from ", newline)
    received = raw[first:second]
    found = _ID.search(received)
    assert found, f"no id in {received!r}"
    sender = raw[len(b"Return-Path: <") : first - len(newline) - 1].decode()
    return Arrived(path, sender, received, found.group(1).decode(), raw[second:])


def maildirs(mail: Path) -> Iterator[Path]:
    """Every Maildir below ``mail``, which holds them as DOMAIN/USER. No mailbox begins with a dot: such a directory
    is what a start tries the rights of this place with, and gone again in a moment."""
    for new in sorted(mail.glob("[!.]*/[!.]*/new")):
        yield new.parent


def messages(maildir: Path, newline: bytes = b"\r\n") -> list[Arrived]:
    """Everything in new/ and cur/ of one Maildir, which may not exist yet."""
    found = []
    for folder in ("new", "cur"):
        if (maildir / folder).is_dir():
            found += [read(path, newline) for path in sorted((maildir / folder).iterdir())]
    return found


def left_in_tmp(mail: Path) -> list[Path]:
    """All files in any tmp/ below ``mail``."""
    return sorted(file for maildir in mail.glob("[!.]*/[!.]*") for file in maildir.glob("tmp/*"))
