"""Three ways of TLS between a connection and its dialogue: what each costs the server.

    .venv/bin/python -m bench.micro.tls_paths [--quick] [--row PATH]...

`layer` is `fastsmtp.tls.layer` over a plain uvloop transport, with the choice by SNI; `uvloop` uvloop's own TLS
transport, `aiofastnet` that of the library of this name, which must be installed for it, both with one context;
`plain` is no TLS. The server is a process of its own with a protocol that reads into one buffer and answers each line
with one; the client another one with blocking sockets. CPU is the server's, so that it hardly matters what the client
costs. The certificate is ECDSA P-256, the version TLS 1.3.
"""

import argparse
import asyncio
import contextlib
import importlib
import multiprocessing
import os
import resource
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import uvloop

from fastsmtp.tls.certificates import read_pair
from fastsmtp.tls.layer import CIPHER_BUFFER, CLEAR_BUFFER, TlsLayer
from fastsmtp.tls.pair import load
from fastsmtp.tls.selfsigned import self_signed
from fastsmtp.tls.settings import CertificateSettings, TlsSettings
from fastsmtp.tls.store import CertificateStore

PATHS = ("plain", "layer", "uvloop", "aiofastnet")
ANSWER = b"250 2.0.0 ok\r\n"
BODY = b"x" * 4094 + b"\r\n"
BIG = b"x" * 10_000_000

CLEAR = memoryview(bytearray(CLEAR_BUFFER))
CIPHER = memoryview(bytearray(CIPHER_BUFFER))


class Answering(asyncio.BufferedProtocol):
    """Answers each piece that ends a line; all connections read into one buffer."""

    _transport: asyncio.Transport

    def connection_made(self, transport: Any) -> None:
        """Keep it."""
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """One for all."""
        return CLEAR

    def buffer_updated(self, nbytes: int) -> None:
        """Answer the end of a line."""
        if nbytes and CLEAR[nbytes - 1] == 10:
            self._transport.write(ANSWER)


class Layered(Answering):
    """The same behind our own layer."""

    def __init__(self, store: CertificateStore) -> None:
        self._tls = TlsLayer(store)

    def get_buffer(self, sizehint: int) -> memoryview:
        """One for all."""
        return CIPHER

    def buffer_updated(self, nbytes: int) -> None:
        """Open what came, and answer the end of a line."""
        tls = self._tls
        count = tls.receive(CIPHER[:nbytes], CLEAR)
        out = tls.take()
        if out:
            self._transport.write(out)
        if count and CLEAR[count - 1] == 10:
            self._transport.write(tls.write(ANSWER))


async def _serve(path: str, store: CertificateStore, pipe: Pipe) -> None:
    loop = asyncio.get_running_loop()
    create: Callable[..., Any] = loop.create_server
    if path == "aiofastnet":
        fast = importlib.import_module("aiofastnet")

        def create(*arguments: Any, **options: Any) -> Any:
            return fast.create_server(loop, *arguments, **options)

    if path == "plain":
        server = await create(Answering, "127.0.0.1", 0, backlog=1000)
    elif path == "layer":
        server = await create(lambda: Layered(store), "127.0.0.1", 0, backlog=1000)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.num_tickets = 1
        load(context, store.pairs()[0].pem)
        server = await create(Answering, "127.0.0.1", 0, ssl=context, backlog=1000)
    pipe.send(server.sockets[0].getsockname()[1])
    end = asyncio.Event()

    def asked() -> None:
        if pipe.recv() == "end":
            end.set()
        else:
            pipe.send((_cpu(), _resident()))

    loop.add_reader(pipe.fileno(), asked)
    await end.wait()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _resident() -> int:
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) * 1024
    raise ValueError("no Private_Dirty")


def _run_server(path: str, store: CertificateStore, pipe: Pipe) -> None:
    uvloop.run(_serve(path, store, pipe))


class Server:
    """One of the ways, in a process of its own."""

    def __init__(self, path: str, store: CertificateStore) -> None:
        self.path = path
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(
            target=_run_server, args=(path, store, theirs)
        )
        self._process.start()
        theirs.close()
        self.port: int = self._pipe.recv()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE

    def now(self) -> tuple[float, int]:
        """Seconds of CPU, bytes of its own in memory."""
        self._pipe.send("?")
        said: tuple[float, int] = self._pipe.recv()
        return said

    def connect(self, session: ssl.SSLSession | None = None) -> socket.socket:
        """A client's connection after the handshake."""
        plain = socket.create_connection(("127.0.0.1", self.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.path == "plain":
            return plain
        return self.context.wrap_socket(plain, session=session)

    def end(self) -> None:
        """Stop it."""
        self._pipe.send("end")
        self._process.join()


@contextlib.contextmanager
def serving(path: str, store: CertificateStore) -> Iterator[Server]:
    """A server for one measurement."""
    server = Server(path, store)
    try:
        yield server
    finally:
        server.end()


def exchange(client: socket.socket, data: bytes) -> None:
    """Send, and wait for the answer."""
    client.sendall(data)
    assert client.recv(100) == ANSWER


def handshakes(server: Server, count: int, *, resumed: bool) -> str:
    """One connection after the other, each with one line."""
    session = None
    if resumed and server.path != "plain":
        with server.connect() as first:
            exchange(first, b"NOOP\r\n")
            session = first.session  # type: ignore[attr-defined]
    begun, (cpu, _) = time.perf_counter(), server.now()
    for _ in range(count):
        with server.connect(session) as client:
            exchange(client, b"NOOP\r\n")
            if session is not None:
                assert client.session_reused  # type: ignore[attr-defined]
    used = server.now()[0] - cpu
    return f"{used / count * 1e6:6.0f} µs CPU a connection ({count / (time.perf_counter() - begun):,.0f}/s)"


def idle(server: Server, count: int, data: bytes) -> str:
    """Connections that stay open after a handshake and ``data``."""
    held = [server.connect() for _ in range(20)]
    for client in held:
        exchange(client, data)
    before = server.now()[1]
    for _ in range(count):
        client = server.connect()
        exchange(client, data)
        held.append(client)
    each = (server.now()[1] - before) / count
    for client in held:
        client.close()
    return f"{each / 1024:6.1f} KiB a connection"


def kept(server: Server, count: int) -> str:
    """4 KB and an answer, again and again on one connection."""
    with server.connect() as client:
        begun, (cpu, _) = time.perf_counter(), server.now()
        for _ in range(count):
            exchange(client, BODY)
        used = server.now()[0] - cpu
    return f"{used / count * 1e6:6.1f} µs CPU an exchange ({count / (time.perf_counter() - begun):,.0f}/s)"


def large(server: Server, count: int) -> str:
    """10 MB, then a line."""
    with server.connect() as client:
        begun, (cpu, _) = time.perf_counter(), server.now()
        for _ in range(count):
            exchange(client, BIG + b"\r\n")
        used = server.now()[0] - cpu
    megabytes = count * len(BIG) / 1e6
    return (
        f"{used / megabytes * 1e6:6.0f} µs CPU a MB ({megabytes / (time.perf_counter() - begun):,.0f} MB/s)"
    )


def growth(server: Server, count: int) -> str:
    """Memory after a tenth of many connections in a row, and after all."""
    early = 0
    for number in range(count):
        with server.connect() as client:
            exchange(client, b"NOOP\r\n")
        if number == count // 10:
            early = server.now()[1]
    return f"{(server.now()[1] - early) / 1024:+6.0f} KiB from {count // 10:,} to {count:,} connections"


def main() -> None:
    """Print a table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--path", action="append", choices=PATHS)
    parser.add_argument("--row", action="append")
    options = parser.parse_args()
    few = 10 if options.quick else 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (10_000, 10_000))
    rows: dict[str, Callable[[Server], str]] = {
        "full": lambda server: handshakes(server, 3000 // few, resumed=False),
        "resumed": lambda server: handshakes(server, 3000 // few, resumed=True),
        "kept": lambda server: kept(server, 20_000 // few),
        "large": lambda server: large(server, 60 // few),
        "idle": lambda server: idle(server, 2000 // few, b"EHLO client.example\r\n"),
        "idle-after-1MB": lambda server: idle(server, 500 // few, BIG[:1_000_000] + b"\r\n"),
        "growth": lambda server: growth(server, 50_000 // few),
    }
    with tempfile.TemporaryDirectory() as folder:
        cert, key = self_signed(["mx.example.org"], Path(folder))
        pair = read_pair(CertificateSettings(cert=str(cert), key=str(key)))
    store = CertificateStore(TlsSettings(), [pair])
    print(f"uvloop {uvloop.__version__}, {ssl.OPENSSL_VERSION}, {os.cpu_count()} CPUs")
    for row in options.row or rows:
        for path in options.path or PATHS:
            with serving(path, store) as server:
                print(f"{row:<15} {path:<11} {rows[row](server)}", flush=True)


if __name__ == "__main__":
    main()
