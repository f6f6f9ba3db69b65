"""fastsmtp without log, ledger and metrics of mail, to measure what they cost; the server itself has no such switch.

    .venv/bin/python bench/unobserved.py serve -c FILE        where FILE has [ledger] enabled = false

What happens to mail is made into no event, nothing is counted, the clocks for it are not asked, the Message-ID is not
looked for, and replies are not looked at for refusals. What is told of the server itself stays.
"""

from collections.abc import Callable
from typing import Any

import fastsmtp.process.services as services
import fastsmtp.session.connection as connection
from fastsmtp._core import header
from fastsmtp.cli.main import main
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.telemetry.meter import Meter
from fastsmtp.telemetry.metrics_table import Row


class Uncounted:
    """In the place of a counter and of a histogram."""

    def add(self, many: int = 1) -> None:
        """Nothing."""

    def observe(self, value: float) -> None:
        """Nothing."""


class UnseenMeter(Meter):
    """Counts nothing of mail, and does not ask what time it is."""

    def __init__(self, row: Row, now: Callable[[], float]) -> None:
        super().__init__(row, lambda: 0.0)
        for name in ("connections", "tls", "auth", "rcpt", "data", "commit", "sync", "group"):
            setattr(self, name, Uncounted())

    def handshake(self, version: str, resumed: bool) -> None:
        """Nothing."""

    def attempt(self, outcome: str, seconds: float) -> None:
        """Nothing."""


def observe_nothing() -> None:
    """From now on nothing of mail is observed in this process and its children."""

    def nothing(*_: Any, **__: Any) -> None: ...

    for name in ("received", "delivered", "routed", "attempted", "rejected", "login", "verified"):
        setattr(MailLog, name, nothing)
    for module, name, stand_in in (
        (connection, "failed", lambda out: False),
        (header, "message_id", lambda prefix, start: ""),
        (services, "Meter", UnseenMeter),
    ):
        setattr(module, name, stand_in)


if __name__ == "__main__":
    observe_nothing()
    main()
