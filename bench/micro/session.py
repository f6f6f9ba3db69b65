"""What a message costs from MAIL to its 250 in a session, and what of that is observing it: no sockets, no disk.

    PYTHONPATH=.:bench .venv/bin/python -m bench.micro.session [MESSAGES] [--only NAME]

Mails of 4 KB in one connection, told as received and delivered into one mailbox; the events leave in batches of 100.
Prints microseconds of the processor, the best of nine rounds, for each way of observing, and what that is more than
for none. With ``--only`` it does one round of one of them and prints nothing, for callgrind: the difference between
two numbers of messages is what they cost.
"""

import argparse
import os
import time
from collections.abc import Callable

from unobserved import UnseenMeter, observe_nothing

from fastsmtp.clock import SystemClock
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.telemetry.meter import Meter
from fastsmtp.telemetry.metrics_table import MetricTable
from fastsmtp.telemetry.postfix import PostfixForm
from fastsmtp.telemetry.stream import StreamWriter, json_form
from fastsmtp.telemetry.text import TextForm
from tests.fakes.service import World

ROUNDS = 9
BATCH = 100
SAID = (
    b"MAIL FROM:<alice@example.org>\r\n",
    b"RCPT TO:<bob@local.test>\r\n",
    b"DATA\r\n",
    b"Subject: x\r\nMessage-ID: <20261124053500.4XyZ@example.org>\r\n\r\n"
    + (b"y" * 76 + b"\r\n") * 51
    + b".\r\n",
)
WAYS = ("nothing", "text", "text and ledger", "json and ledger", "postfix and ledger")


class Taker:
    """A sink that keeps nothing."""

    def append(self, lines: bytes, count: int) -> None:
        """See `Sink`."""


def world(way: str) -> World:
    """A server that is observed like this."""
    made = World(message_size=1_000_000)
    forms = {"text": TextForm, "json": lambda: json_form, "postfix": lambda: PostfixForm("mx.example.org")}
    writer = StreamWriter(os.open(os.devnull, os.O_WRONLY), forms.get(way.split()[0], TextForm)())
    clock = SystemClock()
    meter = (UnseenMeter if way == "nothing" else Meter)(MetricTable(0.0).claim(), clock.monotonic)
    made.service.context.log = MailLog(clock, slot=0, writer=writer, meter=meter)
    if "ledger" in way:
        made.service.context.log.attach(Taker())
    made.spool.inline_limit = 65_536
    return made


def work(way: str) -> Callable[[int], float]:
    """Takes so many messages; returns the seconds of the processor."""
    here = world(way)
    log, spool = here.service.context.log, here.spool
    transport = here.connect()
    protocol = transport.protocol
    buffer = protocol.get_buffer(-1)
    transport.feed(b"EHLO client.example.org\r\n")

    def messages(count: int) -> float:
        began = time.process_time()
        for number in range(count):
            for piece in SAID:
                buffer[: len(piece)] = piece  # type: ignore[index]
                protocol.buffer_updated(len(piece))
            spool.commit()
            log.delivered("4XyZ123abcdef", to="bob@local.test", mailbox="bob@local.test", delay=0.0312)
            if number % BATCH == 0:
                log.flush()
                spool.stored.clear()
                transport.take()
        return time.process_time() - began

    return messages


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("messages", type=int, nargs="?", default=10_000)
    parser.add_argument("--only", choices=WAYS)
    chosen = parser.parse_args()
    found = {}
    for way in (*WAYS[1:], WAYS[0]):  # what observes nothing cannot be undone
        if chosen.only in (None, way):
            if way == "nothing":
                observe_nothing()
            messages = work(way)
            found[way] = min(messages(chosen.messages) for _ in range(1 if chosen.only else ROUNDS))
    for way in () if chosen.only else WAYS:
        more = found[way] - found["nothing"]
        print(f"{way:20}{found[way] / chosen.messages * 1e6:8.2f}{more / chosen.messages * 1e6:8.2f}")


if __name__ == "__main__":
    main()
