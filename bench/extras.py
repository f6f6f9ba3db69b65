"""Scenarios that need a freshly started server: memory of idle connections, and patience under big mails."""

import argparse
import contextlib
import resource
import selectors
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import outage
import secured
from drive import Figures, accept, anonymous, source
from scenarios import ALL, DELIVERING, SMALL
from servers import Server, ServerError, pids

from fastsmtp.loadgen import processes

HELD = {"fastsmtp": 10_000, "smtp-sink": 10_000, "postfix": 200}
BIG = 20 * 1024 * 1024


@dataclass(frozen=True)
class Extra:
    """One such scenario: ``settings`` are added to fastsmtp's."""

    title: str
    figure: str
    servers: tuple[str, ...]
    run: Callable[[Server, argparse.Namespace], Figures]
    settings: str = ""


def idle(server: Server, options: argparse.Namespace) -> Figures:
    """Resident bytes per connection that has said EHLO and holds its peace.

    Postfix has one process per connection and is asked for 200 only.
    """
    number = min(HELD[server.name], resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100)
    with connected(server, 50):
        before = processes.usage(pids(server), shared=True)
        with connected(server, number):
            time.sleep(1.0)
            after = processes.usage(pids(server), shared=True)
    return {
        "connections": number,
        "bytes_per_connection": (after.pss - before.pss) / number,
        "rss_bytes_per_connection": (after.rss - before.rss) / number,
        "rss_mb": after.rss / 1e6,
    }


@contextlib.contextmanager
def connected(server: Server, number: int) -> Iterator[None]:
    """Holds ``number`` connections that have been greeted and have said EHLO."""
    with contextlib.ExitStack() as held:
        selector = held.enter_context(selectors.DefaultSelector())
        waiting = 0
        for _ in range(number):
            connection = held.enter_context(socket.create_connection(("127.0.0.1", server.port), 30))
            selector.register(connection, selectors.EVENT_READ, iter((b"EHLO idle.bench.test\r\n", b"")))
            waiting += 1
            if waiting >= 100:
                waiting -= _answer(selector, server)
        while waiting:
            waiting -= _answer(selector, server)
        yield


def _answer(selector: selectors.BaseSelector, server: Server) -> int:
    """Answers those that have been greeted; returns how many have finished their EHLO."""
    finished = 0
    ready = selector.select(60)
    if not ready:
        raise ServerError(f"{server.name} does not answer all connections")
    for key, _ in ready:
        connection = key.fileobj
        assert isinstance(connection, socket.socket)
        data = connection.recv(4096)
        if not data[:1] == b"2":
            raise ServerError(f"{server.name} answered {data[:80]!r} to a held connection")
        command = next(key.data)
        if command:
            connection.sendall(command)
        else:
            selector.unregister(connection)
            finished += 1
    return finished


def noop(server: Server, options: argparse.Namespace) -> Figures:
    """How long NOOP waits on one connection while ten mails of 20 MB arrive on others, and how much the
    memory of the process that grows most (anonymous pages: those of mapped files are the kernel's to take
    back)."""
    watched = pids(server)
    base = anonymous(watched)
    grown = dict.fromkeys(base, 0)
    delays: list[float] = []
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.recv(512)
        for number in range(options.rounds):
            command = source(server, f"u{number:04}", kept=True, sessions=10, size=BIG, count=10)
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as sender:
                while sender.poll() is None:
                    delays.append(_noop(connection, server))
                    for pid, size in anonymous(watched).items():
                        grown[pid] = max(grown[pid], size - base[pid])
                    time.sleep(0.001)
                if sender.returncode:
                    assert sender.stderr is not None
                    raise ServerError(
                        f"smtp-source against {server.name}: {sender.stderr.read().strip()[-200:]}"
                    )
    cuts = statistics.quantiles(delays, n=1000, method="inclusive")
    return {
        "noops": len(delays),
        "noop_p50_ms": cuts[499] * 1e3,
        "noop_p99_ms": cuts[989] * 1e3,
        "noop_max_ms": max(delays) * 1e3,
        "largest_growth_mb": max(grown.values()) / 1e6,
        "growth_of_all_mb": sum(grown.values()) / 1e6,
    }


def _noop(connection: socket.socket, server: Server) -> float:
    """The seconds one NOOP takes."""
    began = time.monotonic()
    connection.sendall(b"NOOP\r\n")
    if not connection.recv(512).startswith(b"250"):
        raise ServerError(f"{server.name} refused NOOP")
    return time.monotonic() - began


def queued(server: Server, options: argparse.Namespace) -> Figures:
    """How fast mail is taken in when very much of it is queued, compared with an empty queue. Delivery is held
    back by the setting, before and after alike."""

    def rates() -> list[float]:
        return [
            options.messages
            / accept(server, "u0001", kept=True, sessions=20, size=SMALL, count=options.messages)
            for _ in range(options.rounds)
        ]

    empty = rates()
    rest = options.queued - options.rounds * options.messages
    if rest > 0:
        accept(server, "u0001", kept=True, sessions=200, size=SMALL, count=rest)
    full = rates()
    used = processes.usage(pids(server), shared=True)
    return {
        "queued": max(options.queued, options.rounds * options.messages),
        "messages_per_s_empty": statistics.median(empty),
        "messages_per_s_queued": statistics.median(full),
        "ratio_to_empty": statistics.median(full) / statistics.median(empty),
        "pss_mb": used.pss / 1e6,
    }


EXTRAS = {
    "idle": Extra("memory of a held connection", "bytes_per_connection", ALL, idle),
    "noop": Extra("NOOP while ten 20 MB mails arrive", "noop_p99_ms", DELIVERING, noop),
    "queued": Extra(
        "intake with a million queued, delivery held back",
        "ratio_to_empty",
        ("fastsmtp",),
        queued,
        "\n[delivery]\nhold = true\n",
    ),
    "outage": Extra(
        "relaying with a million queued for 10,000 hosts that are down",
        "relayed_ratio_queued",
        ("fastsmtp",),
        outage.million,
        outage.down(),
    ),
    "tls-idle": Extra("memory of a held TLS connection", "bytes_per_connection", DELIVERING, secured.idle),
    "tls-in-a-row": Extra(
        "TLS connections in a row, growth of memory after 5,000",
        "growth_mb",
        ("fastsmtp",),
        secured.in_a_row,
    ),
    "logins": Extra(
        "NOOP while 50 clients log in",
        "noop_p99_ms",
        ("fastsmtp",),
        secured.logins,
        secured.LOGIN_SETTINGS,
    ),
    "crowd": Extra(
        "relaying to 100 hosts beside 100 that hang",
        "ratio_to_alone",
        ("fastsmtp",),
        outage.crowd,
        outage.crowded(),
    ),
}
