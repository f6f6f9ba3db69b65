"""Where the maildrop is, and what the server tells those who drop mail."""

import os

DEFAULT = "/var/spool/fastsmtp/maildrop"
VARIABLE = "FASTSMTP_MAILDROP"
"""The variable of the environment that names another directory."""
FACTS = "server"
"""A file in the maildrop that everybody may read: lines with a key, a blank and a value."""


def maildrop() -> str:
    """The directory that is meant."""
    return os.environ.get(VARIABLE) or DEFAULT


def facts_text(facts: dict[str, str]) -> str:
    """The content of `FACTS`."""
    return "".join(f"{key} {value}\n" for key, value in facts.items())


def read_facts(directory: str) -> dict[str, str]:
    """What the server has told; empty when it has never run there."""
    try:
        file = os.open(
            os.path.join(directory, FACTS), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        )
    except OSError:
        return {}
    try:
        text = os.read(file, 65_536).decode("utf-8", "replace")
    finally:
        os.close(file)
    return {key: value for key, _, value in (line.partition(" ") for line in text.split("\n")) if key}


def most_octets(directory: str) -> int:
    """Octets of a message that the server takes; 0 where it has not told."""
    text = read_facts(directory).get("message_size", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
