"""What an outage of others costs: a million messages for hosts that are down; hosts that hang beside live ones."""

import argparse
import asyncio
import contextlib
import multiprocessing
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import uvloop
from drive import Figures, anonymous, flush_ms
from relay import counting_sink, relayed
from servers import CHECKOUT, RELAY_PORT, FastSmtp, Server, ServerError, pids, run, wait_for_greeting

from fastsmtp.loadgen.sinkplan import SinkPlan
from fastsmtp.loadgen.swallow import Sink, SinkSession

DOMAINS = 10_000
SITES = 100
LIVE_PORT, HANGING_PORT = 31_000, 32_000
IDLE = 60.0
DRAINED = 1800.0


def route(match: str, to: str) -> str:
    """A route of the settings file."""
    return f'\n[[routes]]\nmatch = "{match}"\nto = "{to}"\n'


def down() -> str:
    """Routes of 10,000 domains to as many hosts at which nobody listens."""
    return "".join(route(f"d{n}.down.test", f"127.10.{n >> 8}.{n & 255}:9") for n in range(DOMAINS))


def crowded() -> str:
    """Routes of 100 domains to hosts that work, and of 100 to hosts that hang."""
    live = (route(f"d{n}.live.test", f"127.0.0.1:{LIVE_PORT + n}") for n in range(SITES))
    hanging = (route(f"d{n}.hangs.test", f"127.0.0.1:{HANGING_PORT + n}") for n in range(SITES))
    return "".join((*live, *hanging))


def load(server: Server, domain: str, users: int, count: int) -> float:
    """Sends ``count`` messages to the domains in turn: ``domain`` with a number in the place of ``{n}``; seconds."""
    command = [sys.executable, "-m", "fastsmtp", "bench", "--kept", "--pipelining", "-q", "--timeout", "300"]
    command += ["--sessions", "200", "--messages", str(count), "--users", str(users), "--size", "4k"]
    began = time.monotonic()
    run([*command, "--to", f"user@{domain}", f"127.0.0.1:{server.port}"], cwd=CHECKOUT)
    return time.monotonic() - began


def million(server: Server, options: argparse.Namespace) -> Figures:
    """Intake, and relaying to a host that works, before, while and after so many messages wait for hosts that are
    down; what the server takes to start with them, holds in memory and writes while nothing comes."""
    assert isinstance(server, FastSmtp)

    def rounds() -> tuple[float, float, float]:
        flushes, figures = [], []
        for _ in range(options.rounds):
            flushes.append(flush_ms(server.base))
            figures.append(relayed(server, kept=True, sessions=20, size=4096, count=options.messages))
        return (
            statistics.median(options.messages / one["seconds_accepting"] for one in figures),
            statistics.median(one["messages_per_s"] for one in figures),
            statistics.median(flushes),
        )

    empty = rounds()
    filled = load(server, "d{n}.down.test", DOMAINS, options.queued)
    grown = list(anonymous(pids(server)).values())
    time.sleep(IDLE)  # what was put into the journal is moved into the tree, and first attempts are over
    before = written(server)
    time.sleep(IDLE)
    idle = written(server) - before
    full = rounds()
    server.stop()
    began = time.monotonic()
    server.start()
    with counting_sink() as sink:
        subprocess.run([*_source(1), f"127.0.0.1:{server.port}"], check=True, timeout=60, capture_output=True)
        started = time.monotonic() - began
        sink.look()
    time.sleep(2.0)
    restarted = list(anonymous(pids(server)).values())
    with counting_sink() as sink:
        server.change(route("*.down.test", f"127.0.0.1:{RELAY_PORT}"))
        time.sleep(3.0)  # the routes are read again within a second
        began = time.monotonic()
        server.command("queue", "retry", "--yes", "--everything")
        sink.wait(options.queued, server.name)
        drained = time.monotonic() - began
        connections = sink.sessions
    time.sleep(5.0)
    after = rounds()
    return {
        "queued": options.queued,
        "fill_messages_per_s": options.queued / filled,
        "intake_per_s_empty": empty[0],
        "relayed_per_s_empty": empty[1],
        "flush_ms_empty": empty[2],
        "flush_ms_queued": full[2],
        "flush_ms_drained": after[2],
        "intake_ratio_queued": full[0] / empty[0],
        "relayed_ratio_queued": full[1] / empty[1],
        "seconds_to_start": started,
        "anonymous_mb_largest": max(grown) / 1e6,
        "anonymous_mb_all": sum(grown) / 1e6,
        "anonymous_mb_all_restarted": sum(restarted) / 1e6,
        "idle_written_mb_per_minute": idle / 1e6 * 60 / IDLE,
        "drain_messages_per_s": options.queued / drained,
        "drain_messages_per_connection": options.queued / max(connections, 1),
        "intake_ratio_drained": after[0] / empty[0],
        "relayed_ratio_drained": after[1] / empty[1],
    }


def _source(count: int) -> list[str]:
    return ["smtp-source", "-m", str(count), "-f", "sender@far.test", "-t", "user@far.test"]


def written(server: Server) -> int:
    """Bytes the processes have caused to be written to storage."""
    total = 0
    for pid in pids(server):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/io").read_text().splitlines():
                if line.startswith("write_bytes"):
                    total += int(line.split()[1])
    return total


def crowd(server: Server, options: argparse.Namespace) -> Figures:
    """Throughput to 100 hosts that work, without and with mail for 100 others that take the connection and never
    say a word."""
    with live_hosts() as hosts, hanging_hosts():
        alone = [_to_live(server, hosts, options.messages) for _ in range(options.rounds)]
        load(server, "d{n}.hangs.test", SITES, 20 * SITES)
        time.sleep(2.0)
        beside = [_to_live(server, hosts, options.messages) for _ in range(options.rounds)]
    return {
        "messages_per_s_alone": statistics.median(alone),
        "messages_per_s_beside_hanging": statistics.median(beside),
        "ratio_to_alone": statistics.median(beside) / statistics.median(alone),
    }


def _to_live(server: Server, hosts: "LiveHosts", count: int) -> float:
    before = hosts.taken
    began = time.monotonic()
    load(server, "d{n}.live.test", SITES, count)
    deadline = time.monotonic() + DRAINED
    while hosts.taken - before < count:
        if time.monotonic() > deadline:
            raise ServerError(
                f"{server.name} brought {hosts.taken - before} of {count} messages to live hosts"
            )
        time.sleep(0.02)
    return count / (time.monotonic() - began)


class LiveHosts:
    """One process that takes mail at 100 ports and says how much it has."""

    def __init__(self) -> None:
        self._taken = multiprocessing.RawValue("L", 0)
        self._process = multiprocessing.get_context("fork").Process(target=self._run, daemon=True)

    @property
    def taken(self) -> int:
        """Messages, all hosts together."""
        return int(self._taken.value)

    def start(self) -> None:
        """Raises ServerError when a port is taken."""
        self._process.start()
        wait_for_greeting("the live hosts", LIVE_PORT + SITES - 1)

    def stop(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.join()

    def _run(self) -> None:
        uvloop.run(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        sink = Sink(SinkPlan(), loop)
        for n in range(SITES):
            await loop.create_server(lambda: SinkSession(sink), "127.0.0.1", LIVE_PORT + n)
        while True:
            await asyncio.sleep(0.01)
            self._taken.value = sink.counts.messages


@contextlib.contextmanager
def live_hosts() -> Iterator[LiveHosts]:
    """100 hosts that work."""
    hosts = LiveHosts()
    try:
        hosts.start()
        yield hosts
    finally:
        hosts.stop()


@contextlib.contextmanager
def hanging_hosts() -> Iterator[None]:
    """100 hosts whose kernel takes connections, and nobody else does."""
    with contextlib.ExitStack() as stack:
        for n in range(SITES):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", HANGING_PORT + n))
            sock.listen(4096)
        yield
