"""What a backup says of itself: `HEAD` comes first, `MANIFEST` last, so that one without it is not whole."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from fastsmtp import __version__
from fastsmtp.accounts import embedded
from fastsmtp.ledger import format as ledger
from fastsmtp.process.errors import StartError
from fastsmtp.spool import record

FORMAT = 1
"""Of backups."""
HEAD, MANIFEST = "backup.json", "manifest.json"
DATA, FILES, MAIL = "data", "files", "mail"
"""The parts of a backup: what lies in data_dir; settings and keys, by their whole paths; mailboxes."""


def formats() -> dict[str, int]:
    """The numbers of the forms that this program writes."""
    return {"spool": record.FORMAT, "accounts": embedded.FORMAT, "ledger": ledger.FORMAT}


class Head(Struct, kw_only=True):
    """``at`` in seconds since 1970 UTC. ``formats``: of what is in it."""

    format: int = FORMAT
    version: str = __version__
    at: float
    hostname: str
    data_dir: str
    formats: dict[str, int]
    parts: list[str]


class Entry(Struct):
    """One file: octets, SHA-256, permissions."""

    size: int
    sha256: str
    mode: Annotated[int, Meta(ge=0, le=0o777)]


class Manifest(Struct):
    """All files but these two."""

    files: dict[str, Entry]


def read_head(text: bytes) -> Head:
    """Raises `StartError` for what is no head, and for one of a newer program."""
    try:
        found = msgspec.json.decode(text, type=dict[str, object])
        number = found.get("format")
        if isinstance(number, int) and number > FORMAT:
            raise _newer("the backup", number, FORMAT, found.get("version"))
        head = msgspec.json.decode(text, type=Head)
    except (ValueError, RecursionError):
        raise StartError(f"{HEAD} is damaged: it is no backup that can be read", 65) from None
    ours = formats()
    for name, number in head.formats.items():
        if number > ours.get(name, 0):
            raise _newer(f"its {name}", number, ours.get(name, 0), head.version)
    return head


def read_manifest(text: bytes) -> Manifest:
    """Raises `StartError`."""
    try:
        return msgspec.json.decode(text, type=Manifest)
    except (ValueError, RecursionError):
        raise StartError(f"{MANIFEST} is damaged: nothing vouches for the files", 65) from None


def _newer(what: str, number: int, ours: int, version: object) -> StartError:
    return StartError(
        f"{what} is of format {number}, and this program reads {ours}: restore it with fastsmtp {version} or later",
        65,
    )
