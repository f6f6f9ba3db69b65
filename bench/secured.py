"""TLS and logins: both servers have one certificate, and our own generator drives both, as smtp-source has no TLS.

Connections are secured by STARTTLS, as between mail servers.
"""

import argparse
import contextlib
import resource
import secrets
import socket
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import orjson
from drive import Figures, anonymous, settle
from servers import CHECKOUT, DOMAIN, FastSmtp, Server, ServerError, pids

from fastsmtp.loadgen import crew, processes
from fastsmtp.loadgen.plan import Plan, Target
from fastsmtp.loadgen.sizes import Share
from fastsmtp.loadgen.tally import Tally

HELD = {"fastsmtp": 10_000, "postfix": 200}
SETTLED = 5_000
LOGINS = 50
LOGIN_SECONDS = 10.0
SUBMISSION_PORT = 2628
ACCOUNT = f"alice@{DOMAIN}"
# Each login is hashed, as if each came from somebody else.
LOGIN_SETTINGS = f"""
[[listeners]]
address = "127.0.0.1:{SUBMISSION_PORT}"
protocol = "submission"

[accounts]
backend = "embedded"

[accounts.hash]
remembered = "0s"
"""


def secured(
    server: Server, user: str, *, kept: bool, resume: bool, sessions: int, size: int, count: int
) -> Figures:
    """Sends ``count`` messages under TLS; the clock stops when the last 250 is read. Then waits, off the clock,
    until all is delivered, and checks that nothing is lost."""
    before, ours = processes.usage(pids(server)), _cpu()
    tally = send(server, user, kept=kept, resume=resume, sessions=sessions, size=size, count=count)
    after, generator = processes.usage(pids(server)), _cpu() - ours
    delivered = settle(server, user, count)
    if delivered is not None and delivered[0] != count:
        raise ServerError(f"{server.name} accepted {count} messages and delivered {delivered[0]}")
    return {
        "seconds": tally.seconds,
        "messages_per_s": count / tally.seconds,
        "megabytes_per_s": count * size / tally.seconds / 1e6,
        "full_handshakes": _handshakes(tally, "full handshake"),
        "resumed": _handshakes(tally, "resumed"),
        "cpu_ms_per_message_accepting": (after.cpu - before.cpu) / count * 1e3,
        "cpu_ms_per_message_generator": generator / count * 1e3,
        "rss_mb": after.rss / 1e6,
    }


def send(
    server: Server, user: str, *, kept: bool, resume: bool, sessions: int, size: int, count: int
) -> Tally:
    """What the generator counted. Raises ServerError unless each message was accepted, under TLS 1.3."""
    plan = Plan(
        Target(server.name, "127.0.0.1", server.port),
        sessions=sessions,
        messages=count,
        processes=2,
        mix=(Share(size, 1),),
        kept=kept,
        sender=f"sender@{DOMAIN}",
        recipient=f"{user}@{DOMAIN}",
        tls="starttls",
        resume=resume,
    )
    try:
        tally = crew.run(plan, lambda seconds, sent, failed: None)
    except crew.CrewError as error:
        raise ServerError(str(error)) from None
    if tally.sent != count or tally.errors or any(not how.startswith("TLSv1.3 ") for how in tally.tls):
        raise ServerError(f"{server.name}: {tally.sent} of {count} sent; {tally.errors} {tally.tls}")
    return tally


def _handshakes(tally: Tally, kind: str) -> int:
    return sum(number for how, number in tally.tls.items() if how.endswith(kind))


def _cpu() -> float:
    """Seconds that the generator's processes have used: the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def idle(server: Server, options: argparse.Namespace) -> Figures:
    """Resident bytes per connection that was secured, has said EHLO and holds its peace."""
    number = min(HELD[server.name], resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100)
    with held(server, 50):
        before = processes.usage(pids(server), shared=True)
        with held(server, number):
            time.sleep(1.0)
            after = processes.usage(pids(server), shared=True)
    return {
        "connections": number,
        "bytes_per_connection": (after.pss - before.pss) / number,
        "rss_bytes_per_connection": (after.rss - before.rss) / number,
        "rss_mb": after.rss / 1e6,
    }


@contextlib.contextmanager
def held(server: Server, number: int) -> Iterator[None]:
    """Holds ``number`` secured connections."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            plain = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 30))
            plain.recv(512)
            _ask(plain, b"EHLO idle.bench.test", server)
            _ask(plain, b"STARTTLS", server)
            _ask(stack.enter_context(context.wrap_socket(plain)), b"EHLO idle.bench.test", server)
        yield


def _ask(connection: socket.socket, command: bytes, server: Server) -> None:
    connection.sendall(command + b"\r\n")
    answer = connection.recv(4096)
    if not answer.startswith(b"2"):
        raise ServerError(f"{server.name} answered {answer[:80]!r} to {command.decode()}")


def in_a_row(server: Server, options: argparse.Namespace) -> Figures:
    """Anonymous memory of all processes after so many connections, each with a full handshake and a mail, and how
    much it has grown since the first 5,000."""
    figures: Figures = {"connections": options.in_a_row}
    first, sent = 0.0, 0
    for part in range(10):
        until = SETTLED + part * (options.in_a_row - SETTLED) // 9
        user = f"u{part:04}"
        send(server, user, kept=False, resume=False, sessions=20, size=4096, count=until - sent)
        settle(server, user, until - sent)
        sent = until
        megabytes = sum(anonymous(pids(server)).values()) / 1e6
        figures[f"anonymous_mb_after_{sent}"] = megabytes
        first = first or megabytes
    figures["growth_mb"] = megabytes - first
    return figures


def logins(server: Server, options: argparse.Namespace) -> Figures:
    """How long NOOP waits on other connections while 50 clients log in again and again, each time with argon2id at
    the default cost."""
    assert isinstance(server, FastSmtp)
    password = secrets.token_hex(8)
    server.command("user", "add", ACCOUNT, "--password-stdin", stdin=password)
    delays: list[float] = []
    with contextlib.ExitStack() as stack:
        others = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 30)) for _ in range(8)
        ]
        for one in others:
            one.recv(512)
        quiet = _noops(others, server, time.monotonic() + 2.0)
        bench = stack.enter_context(_bench(password))
        while bench.poll() is None:
            delays += _noops(others, server, time.monotonic() + 0.1)
        out = bench.communicate()[0]
    sent, refused = _counted(out)
    return {
        "logins": sent,
        "logins_refused": refused,
        "logins_per_s": sent / LOGIN_SECONDS,
        "noop_p99_ms_without": _percentile(quiet, 99) * 1e3,
        "noops": len(delays),
        "noop_p50_ms": _percentile(delays, 50) * 1e3,
        "noop_p99_ms": _percentile(delays, 99) * 1e3,
        "noop_max_ms": max(delays) * 1e3,
    }


def _noops(connections: list[socket.socket], server: Server, until: float) -> list[float]:
    """The seconds NOOP takes on one of ``connections`` after the other."""
    delays = []
    while time.monotonic() < until:
        for one in connections:
            began = time.monotonic()
            _ask(one, b"NOOP", server)
            delays.append(time.monotonic() - began)
            time.sleep(0.001)
    return delays


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _bench(password: str) -> "subprocess.Popen[bytes]":
    """`fastsmtp bench` with clients that log in, send one mail, and come again."""
    command = [sys.executable, "-m", "fastsmtp", "bench", f"127.0.0.1:{SUBMISSION_PORT}", "--starttls", "-q"]
    command += ["--auth", ACCOUNT, "--password-file", "/dev/stdin", "--from", ACCOUNT, "--to", ACCOUNT]
    command += ["-s", str(LOGINS), "--duration", str(LOGIN_SECONDS), "--json", "-"]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(password.encode())
    process.stdin.close()
    process.stdin = None
    return process


def _counted(report: bytes) -> tuple[int, int]:
    """How many logged in and sent, and how many could not."""
    one = orjson.loads(report)["targets"][0]["rounds"][0]
    return one["sent"], one["failed"]
