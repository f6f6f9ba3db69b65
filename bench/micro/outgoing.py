"""What sending costs: messages of 4 KB over kept connections through `SmtpTransport`, to smtp-sink.

    .venv/bin/python -m bench.micro.outgoing [MESSAGES] [CONNECTIONS] [OCTETS] [--uses 1] [--file] [--profile]

Prints for each round messages a second, and the processor time a message of this process, by user and system. A
delivery begins the next one as soon as it is done, as a scheduler with work does: so many are under way as there are
connections.
"""

import argparse
import asyncio
import cProfile
import os
import pstats
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import uvloop

from bench.servers import program, wait_for_greeting
from fastsmtp.clock import SystemClock
from fastsmtp.config.values import Duration
from fastsmtp.dns.base import Addresses
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mail.result import DeliveryResult
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.transport.smtp.connection import Content, FileContent
from fastsmtp.transport.smtp.deliver import Job, SiteOutcome, SmtpTransport
from fastsmtp.transport.smtp.mx import Host
from fastsmtp.transport.smtp.place import Place, Target
from fastsmtp.transport.smtp.policy import Protection
from fastsmtp.transport.smtp.settings import OutboundSettings

ROUNDS = 5


def message(octets: int) -> bytes:
    """A message of about that size, with lines of 72."""
    line = b"0123456789abcdef" * 4 + b"abcdef\r\n"
    return b"Subject: bench\r\nFrom: <a@near.test>\r\n\r\n" + line * max(1, octets // len(line))


class Load:
    """So many messages, so many at once."""

    def __init__(self, transport: SmtpTransport, place: Place, content: Content, total: int) -> None:
        self.transport = transport
        self.place = place
        self.content = content
        self.left = total
        self.running = 0
        self.failed = 0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(self) -> None:
        """One more, if there is one."""
        if self.left:
            self.left -= 1
            self.running += 1
            letter = Envelope(
                f"ID{self.left:08}",
                "a@near.test",
                [Recipient("b@far.test", "")],
                "192.0.2.1",
                "c",
                "ESMTP",
                0.0,
            )
            self.transport.deliver(Job(letter, self.content, (0,), self.place), self.done)

    def done(self, results: Sequence[DeliveryResult], site: SiteOutcome) -> None:
        """One has its result."""
        self.running -= 1
        if results[0].status not in ("relayed", "delivered"):
            self.failed += 1
            print(results[0], file=sys.stderr)
        self.begin()
        if not self.running and not self.over.done():
            self.over.set_result(None)


async def measure(options: argparse.Namespace, port: int, content: Content) -> None:
    """All rounds."""
    settings = OutboundSettings(uses=options.uses, idle=Duration(60))
    clock = SystemClock()
    transport = SmtpTransport(settings, hostname="out.near.test", clock=clock, log=MailLog(clock, slot=0))
    host = Host(name="sink.test", port=port, addresses=Addresses(v4=("127.0.0.1",)))
    needs = Protection(level="none", reason="bench", domain="sink.test")
    place = Place("sink.test", [Target(host, needs)])
    for _ in range(ROUNDS):
        load = Load(transport, place, content, options.messages)
        before, begun = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        for _ in range(options.connections):
            load.begin()
        await load.over
        took, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF)
        user = (after.ru_utime - before.ru_utime) / options.messages * 1e6
        system = (after.ru_stime - before.ru_stime) / options.messages * 1e6
        print(f"{options.messages / took:8.0f} messages/s  {user:5.1f} us user  {system:5.1f} us system  "
              f"{load.failed} failed")  # fmt: skip
    await transport.stop(1)


def main() -> None:
    """The command line, and the sink."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("messages", type=int, nargs="?", default=20_000)
    parser.add_argument("connections", type=int, nargs="?", default=20)
    parser.add_argument("octets", type=int, nargs="?", default=4096)
    parser.add_argument("--uses", type=int, default=1_000_000, help="messages over one connection")
    parser.add_argument("--file", action="store_true", help="read the message from a file, in pieces")
    parser.add_argument("--profile", action="store_true", help="show where this process's Python time goes")
    options = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program("smtp-sink"), "-m", "2000", f"127.0.0.1:{port}", "4096"]
    if os.geteuid() == 0:
        command[1:1] = ["-u", "nobody"]
    sink = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    profile = cProfile.Profile()
    try:
        wait_for_greeting("smtp-sink", port)
        with tempfile.TemporaryFile() as file:
            content: Content = message(options.octets)
            if options.file:
                file.write(bytes(content))  # type: ignore[arg-type]
                file.flush()
                content = FileContent(file.fileno(), 0, os.fstat(file.fileno()).st_size)
            if options.profile:
                profile.enable()
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(measure(options, port, content))
            profile.disable()
    finally:
        sink.kill()
        sink.wait()
    if options.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(18)


if __name__ == "__main__":
    main()
