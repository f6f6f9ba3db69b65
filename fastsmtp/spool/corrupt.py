"""What cannot be delivered by any means is set aside where a person can read it: ``corrupt/NAME.eml`` and
``NAME.json``."""

import contextlib
import os
from pathlib import Path
from typing import Any

import orjson

from fastsmtp.mail.envelope import Envelope


def set_aside(
    directory: Path, name: str, content: Any, reason: str, at: float, envelope: Envelope | None
) -> Path:
    """Write ``content`` (bytes, or the path of a body file) and what is known of it, durably. Doing it again
    overwrites. Returns the path of the message. Raises OSError."""
    directory.mkdir(mode=0o700, exist_ok=True)
    message = directory / f"{name}.eml"
    if isinstance(content, Path):
        with contextlib.suppress(FileNotFoundError):
            message.unlink(missing_ok=True)
            os.link(content, message)
    else:
        _write(message, content)
    facts: dict[str, Any] = {"reason": reason, "set_aside_at": at}
    if envelope is not None:
        facts |= {
            "id": envelope.id,
            "sender": envelope.sender,
            "recipients": [recipient.address for recipient in envelope.recipients],
            "client_ip": envelope.client_ip,
            "helo": envelope.helo,
            "protocol": envelope.protocol,
            "received_at": envelope.received_at,
        }
    _write(directory / f"{name}.json", orjson.dumps(facts, option=orjson.OPT_INDENT_2))
    sync_directories(directory, directory.parent)
    return message


def sync_directories(*directories: Path) -> None:
    """Make names durable, in this order. Raises OSError."""
    for directory in directories:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _write(path: Path, content: Any) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
