"""What a sink is to do, and what it counts."""

import msgspec

from fastsmtp.mail.reply import Reply
from fastsmtp.tls.store import CertificateStore

STAGES = ("connect", "helo", "mail", "rcpt", "data", "body", "quit")
"""Where a sink may be slow or rude: before its greeting, at HELO or EHLO, at MAIL, RCPT, DATA (or the first
BDAT), at the end of a body, at QUIT."""


class SinkPlan(msgspec.Struct, frozen=True):
    """How a sink behaves, by stage: the reply that refuses, seconds to wait before the answer, whether the
    connection is cut instead of one. ``size`` is the largest message in octets, 0 for any. With
    ``certificates`` STARTTLS is offered."""

    host: str = "127.0.0.1"
    port: int = 2526
    processes: int = 1
    refuse: dict[str, tuple[int, str]] = {}
    delay: dict[str, float] = {}
    drop: tuple[str, ...] = ()
    hostname: str = "localhost"
    size: int = 0
    certificates: CertificateStore | None = None

    def refusal(self, stage: str) -> Reply | None:
        """The reply that refuses at ``stage``, None to accept."""
        given = self.refuse.get(stage)
        return None if given is None else Reply(given[0], "", given[1])


class SinkCounts(msgspec.Struct):
    """What a sink has seen. ``octets`` are those of accepted bodies; ``refused`` and ``dropped`` go by stage."""

    connections: int = 0
    open: int = 0
    messages: int = 0
    recipients: int = 0
    octets: int = 0
    refused: dict[str, int] = {}
    dropped: dict[str, int] = {}

    def add(self, other: "SinkCounts") -> None:
        """Adds another process's counts."""
        self.connections += other.connections
        self.open += other.open
        self.messages += other.messages
        self.recipients += other.recipients
        self.octets += other.octets
        for mine, theirs in ((self.refused, other.refused), (self.dropped, other.dropped)):
            for stage, number in theirs.items():
                mine[stage] = mine.get(stage, 0) + number


def parse_refuse(text: str) -> tuple[str, tuple[int, str]]:
    """Reads ``STAGE=CODE`` or ``STAGE=CODE text``. Raises ValueError with one line."""
    stage, value = _split(text)
    code, _, words = value.partition(" ")
    if not code.isdecimal() or not code.isascii() or not 400 <= int(code) <= 599:
        raise ValueError(
            f"{text!r}: a refusal has a code between 400 and 599, such as rcpt=550 5.1.1 unknown"
        )
    if not words.isascii() or not words.isprintable() or len(words) > 400:
        raise ValueError(
            f"{text!r}: the text of a reply is one line of printable ASCII, 400 characters at most"
        )
    return stage, (int(code), words.strip() or f"{code[0]}.0.0 refused")


def parse_delay(text: str) -> tuple[str, float]:
    """Reads ``STAGE=SECONDS``. Raises ValueError with one line."""
    stage, value = _split(text)
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0.0 <= seconds <= 3600.0:
        raise ValueError(f"{text!r}: a delay is between 0 and 3600 seconds, such as body=0.5")
    return stage, seconds


def parse_stage(text: str) -> str:
    """Reads the name of a stage. Raises ValueError with one line."""
    if text not in STAGES:
        raise ValueError(f"{text!r} is not a stage; stages are {', '.join(STAGES)}")
    return text


def _split(text: str) -> tuple[str, str]:
    stage, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not STAGE=VALUE; stages are {', '.join(STAGES)}")
    return parse_stage(stage), value
