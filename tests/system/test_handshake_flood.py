"""Handshakes that are begun and not ended, hundreds at once and of several kinds: their memory is bounded, others are
served meanwhile, and after their time they are gone."""

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.tls_client import client_context
from tests.system.test_bench_tls import LOGIN, Secured
from tests.tools.site import resident

HALF_OPEN = 300
A_CONNECTION = 100 << 10
"""Octets: OpenSSL keeps some 50 KB for a handshake, and the hello that has come."""


def hello() -> bytes:
    """The first flight of a client."""
    sent = ssl.MemoryBIO()
    client = client_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname="mx.test.example")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


def record(octets: bytes) -> bytes:
    """A record of type handshake."""
    return b"\x16\x03\x01" + len(octets).to_bytes(2, "big") + octets


def tiny_records(octets: bytes) -> bytes:
    """The hello in records of one octet each."""
    return b"".join(record(octets[i : i + 1]) for i in range(5, len(octets)))


def longest(octets: bytes) -> bytes:
    """As much of a hello as OpenSSL takes, but for its end."""
    return record(b"\x01\x02\x00\x00" + bytes(16_000)) + record(bytes(16_000)) * 7


KINDS: dict[str, Callable[[bytes], bytes]] = {
    "silence": lambda octets: b"",
    "half a hello": lambda octets: octets[: len(octets) // 2],
    "no answer to ours": lambda octets: octets,
    "tiny records": tiny_records,
    "a hello without end": longest,
}


def sends(server: Secured) -> bool:
    """Whether a user can send now."""
    with smtplib.SMTP_SSL("127.0.0.1", server.submissions, context=client_context(), timeout=20) as client:
        client.login(LOGIN, "secret")
        return client.sendmail(LOGIN, ["bob@test.example"], "Subject: x\r\n\r\nx\r\n") == {}


def test_half_open(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    server = Secured(tmp_path, workers=1, limits={"command_timeout": 6})
    kinds = [kind(hello()) for kind in KINDS.values()]
    with server, contextlib.ExitStack() as held:
        server.add_account()
        assert sends(server)
        before = resident(server.worker_pids())
        many = []
        for number in range(HALF_OPEN):
            one = socket.create_connection(("127.0.0.1", server.submissions), 20)
            many.append(held.enter_context(one))
            with contextlib.suppress(ConnectionError):  # one that says too much is closed at once
                one.sendall(kinds[number % len(kinds)])
        assert sends(server)
        assert resident(server.worker_pids()) - before < HALF_OPEN * A_CONNECTION
        for one in many:
            with contextlib.suppress(ConnectionError):
                while one.recv(65536):
                    pass
        assert sends(server)


def test_a_hello_octet_by_octet(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    with Secured(tmp_path, workers=1) as server:
        server.add_account()
        raw = socket.create_connection(("127.0.0.1", server.submissions), 20)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = client_context().wrap_bio(inside, outside, server_hostname="mx.test.example")
        with raw:
            for _ in range(100):
                try:
                    greeting = client.read(100)
                    break
                except ssl.SSLWantReadError:
                    for octet in outside.read():
                        raw.sendall(bytes([octet]))
                    inside.write(raw.recv(65536))
        assert greeting.startswith(b"220 ")
