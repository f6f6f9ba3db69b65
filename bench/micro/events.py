"""What the log costs for a message: one event when it is received and one when it is delivered, in batches of 100.

    .venv/bin/python -m bench.micro.events [MESSAGES]

Prints microseconds of the processor, the best of nine rounds, for each format, alone and with a sink that gets the
JSON as the ledger does. Everything is written to /dev/null.
"""

import os
import sys
import time
from typing import Protocol

from fastsmtp.clock import SystemClock
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.telemetry.stream import StreamWriter, json_form
from fastsmtp.telemetry.text import TextForm

ROUNDS = 9
BATCH = 100
RECIPIENTS = ["bob@example.net"]


class Taker:
    """A sink that keeps nothing."""

    def append(self, lines: bytes, count: int) -> None:
        """See `Sink`."""


class Log(Protocol):
    """What is measured."""

    def flush(self) -> None:
        """Write what waits."""


def one(log: MailLog) -> None:
    """A message's life."""
    log.received(
        "4XyZ123abcdef",
        sender="alice@example.org",
        recipients=RECIPIENTS,
        size=4096,
        client="192.0.2.1",
        helo="mail.example.org",
        protocol="ESMTP",
        sync=0.00041,
        message_id="20261124053500.4XyZ@example.org",
    )
    log.delivered("4XyZ123abcdef", to="bob@example.net", mailbox="bob@example.net", delay=0.0312)


def best(log: MailLog, times: int) -> float:
    """Microseconds of the processor for a message."""
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for number in range(times):
            one(log)
            if number % BATCH == 0:
                log.flush()
        found.append(time.process_time() - began)
    return min(found) / times * 1e6


def main() -> None:
    """Print the table."""
    times = int(sys.argv[1]) if sys.argv[1:] else 20_000
    null = os.open(os.devnull, os.O_WRONLY)
    forms = {"text": TextForm(), "json": json_form}
    print(f"{'':12}{'log':>8}{'and sink':>10}  µs a message")
    for name, form in forms.items():
        alone, both = (MailLog(SystemClock(), slot=0, writer=StreamWriter(null, form)) for _ in range(2))
        both.attach(Taker())
        print(f"{name:12}{best(alone, times):8.2f}{best(both, times):10.2f}")


if __name__ == "__main__":
    main()
