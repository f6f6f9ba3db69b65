"""Ledgers for tests: lines of events, and a directory of segments that a keeper made."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastsmtp.config.values import Duration
from fastsmtp.ledger.keeper import LedgerKeeper
from fastsmtp.ledger.line import Line
from fastsmtp.ledger.settings import LedgerSettings
from fastsmtp.ledger.writer import LedgerWriter
from tests.fakes.clock import FakeClock


def event(kind: str, at: float, **fields: Any) -> bytes:
    """A line as `telemetry.events.encode` makes them. ``sender`` stands for ``from``."""
    named = {"from" if name == "sender" else name: value for name, value in fields.items()}
    start = {"kind": kind, "v": 1, "at": at, "worker": 0, "pid": 1}
    return json.dumps({**start, **named}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


class Book:
    """A worker's ledger in ``directory``, without its thread: `look` is a second of it."""

    def __init__(
        self, directory: Path, clock: FakeClock | None = None, room: int = 0, **settings: Any
    ) -> None:
        self.directory = directory
        self.clock = clock or FakeClock()
        self.writer = LedgerWriter()
        self.said: list[str] = []
        self.lost: list[int] = []
        self.keeper = LedgerKeeper(
            directory,
            LedgerSettings(**durations(settings)),
            self.writer,
            clock=self.clock,
            event=self.said.append,
            lost=self.lost.append,
            room=room,
        )
        self.look()

    def look(self, seconds: float = 1.0) -> None:
        """A second passes, or several."""
        self.clock.pass_by(seconds)
        self.keeper.look()

    def put(self, *lines: bytes) -> None:
        """Events come in, one batch."""
        self.writer.append(b"".join(lines), len(lines))

    def close(self) -> None:
        """The process ends."""
        held = self.writer.use(None)
        if held is not None:
            held.close()

    def files(self, suffix: str = ".jsonl") -> list[Path]:
        """The segments, or other files, oldest first."""
        return sorted(self.directory.glob(f"*{suffix}"))


def durations(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings in which ``keep`` may be a number."""
    return {name: Duration(value) if name == "keep" else value for name, value in settings.items()}


def ids(lines: Sequence[Line]) -> list[str]:
    """Whose events they are."""
    return [line.text("id") for line in lines]
