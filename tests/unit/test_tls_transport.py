"""What is written to a connection that speaks TLS."""

import asyncio
from pathlib import Path

import pytest

from fastsmtp.tls.transport import TlsTransport
from tests.fakes.tls_client import TlsClient
from tests.fakes.transport import FakeTransport
from tests.tools.tls_pairs import store_for


class Ended:
    """A client after the handshake, the transport of its connection, and what that one writes to."""

    def __init__(self, folder: Path) -> None:
        self.client = TlsClient(store_for(folder)).handshake()
        self.client.read()
        self.plain = FakeTransport(asyncio.BufferedProtocol())
        self.transport = TlsTransport(self.plain, self.client.layer)

    def read(self) -> bytes:
        """What the client has got since the last time, in clear; raises ssl.SSLZeroReturnError behind the end."""
        self.client.receive(self.plain.take())
        return self.client.read()


@pytest.fixture
def ended(tmp_path: Path) -> Ended:
    """One connection."""
    return Ended(tmp_path)


def test_what_is_written_is_for_the_client_alone(ended: Ended) -> None:
    ended.transport.write(b"250 ok\r\n")
    assert b"250" not in ended.plain.written
    assert len(ended.plain.writes) == 1
    assert ended.read() == b"250 ok\r\n"


def test_a_handshake_is_flushed_and_nothing_else(tmp_path: Path) -> None:
    client = TlsClient(store_for(tmp_path))
    plain = FakeTransport(asyncio.BufferedProtocol())
    transport = TlsTransport(plain, client.layer)
    transport.flush()
    assert plain.writes == []
    client.feed(client.flight())
    transport.flush()
    assert len(plain.writes) == 1
    client.receive(plain.take())
    client.handshake()


@pytest.mark.parametrize("how", ["close", "write_eof"])
def test_the_end_is_told_before_it_comes(ended: Ended, how: str) -> None:
    ended.transport.write(b"221 bye\r\n")
    getattr(ended.transport, how)()
    assert (ended.plain.closing, ended.plain.half_closed) == (how == "close", how == "write_eof")
    assert len(ended.plain.writes) == 2
    assert ended.read() == b"221 bye\r\n"
    ended.client.object.unwrap()  # raises unless the end was told


def test_it_is_told_once(ended: Ended) -> None:
    ended.transport.write_eof()
    ended.transport.close()
    assert len(ended.plain.writes) == 1
    assert ended.plain.closing


def test_a_broken_session_ends_when_it_is_written_to(ended: Ended) -> None:
    ended.transport.write_eof()
    ended.plain.half_closed = False
    ended.transport.write(b"250 ok\r\n")
    assert ended.plain.aborted
    assert len(ended.plain.writes) == 1


def test_a_connection_that_ends_in_its_handshake(tmp_path: Path) -> None:
    plain = FakeTransport(asyncio.BufferedProtocol())
    TlsTransport(plain, TlsClient(store_for(tmp_path)).layer).close()
    assert plain.closing
    assert plain.writes == []


def test_everything_else_is_the_plain_transport_s(ended: Ended) -> None:
    ended.transport.pause_reading()
    assert not ended.plain.reading
    ended.transport.resume_reading()
    assert ended.plain.reading
    assert ended.transport.can_write_eof()
    assert ended.transport.get_extra_info("peername") == ("192.0.2.1", 4321)
    assert ended.transport.get_extra_info("no such thing", 7) == 7
    assert not ended.transport.is_closing()
    ended.transport.abort()
    assert ended.plain.aborted
    assert ended.transport.is_closing()
