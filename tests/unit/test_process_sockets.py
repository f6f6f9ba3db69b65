"""Listening sockets: spread or shared, and refusals that name the address."""

import os
import socket
from collections.abc import Iterator

import pytest

from fastsmtp.config.values import Endpoint
from fastsmtp.process.errors import StartError
from fastsmtp.process.sockets import close_all, kernel_backlog, listen, listen_all

ANY = Endpoint(socket.AF_INET, "127.0.0.1", 0)


@pytest.fixture
def taken() -> Iterator[Endpoint]:
    """An address somebody listens on."""
    listener = listen(ANY, "smtp", "reuseport", 2, 16)
    yield listener.endpoint
    close_all(listener.sockets)


def test_reuseport_has_a_socket_per_worker_on_one_port() -> None:
    listener = listen(ANY, "smtp", "reuseport", 3, 16)
    try:
        assert len(listener.sockets) == 3
        assert {sock.getsockname() for sock in listener.sockets} == {("127.0.0.1", listener.endpoint.port)}
        assert all(sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) for sock in listener.sockets)
        assert [listener.of(slot) for slot in range(4)] == [*listener.sockets, None]
    finally:
        close_all(listener.sockets)


@pytest.mark.parametrize(("accept", "workers"), [("shared", 3), ("reuseport", 1)])
def test_one_socket_is_for_all(accept: str, workers: int) -> None:
    listener = listen(ANY, "smtp", accept, workers, 16)  # type: ignore[arg-type]
    try:
        assert len(listener.sockets) == 1
        assert not listener.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
        assert listener.of(0) is listener.of(2) is listener.sockets[0]
    finally:
        close_all(listener.sockets)


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_a_taken_port_is_refused_even_where_reuseport_would_share_it(taken: Endpoint, accept: str) -> None:
    with pytest.raises(StartError) as refused:
        listen(taken, "smtp", accept, 2, 16)  # type: ignore[arg-type]
    assert f"cannot listen on 127.0.0.1:{taken.port}: another program does" in str(refused.value)
    assert refused.value.code == os.EX_TEMPFAIL


def test_a_port_that_has_just_been_used_is_free(taken: Endpoint) -> None:
    """Connections in TIME_WAIT must not keep the server from starting again."""
    listener = listen(ANY, "smtp", "shared", 1, 16)
    client = socket.create_connection((listener.endpoint.host, listener.endpoint.port))
    listener.sockets[0].setblocking(True)
    peer, _ = listener.sockets[0].accept()
    peer.close()
    client.close()
    close_all(listener.sockets)
    close_all(listen(listener.endpoint, "smtp", "reuseport", 2, 16).sockets)


def test_all_or_none(taken: Endpoint) -> None:
    free = listen(ANY, "smtp", "shared", 1, 16)
    close_all(free.sockets)
    with pytest.raises(StartError):
        listen_all([(free.endpoint, "smtp"), (taken, "smtp")], "reuseport", 2, 16)
    close_all(listen(free.endpoint, "smtp", "reuseport", 2, 16).sockets)


def test_an_address_of_another_machine() -> None:
    with pytest.raises(StartError, match="not an address of this machine") as refused:
        listen(Endpoint(socket.AF_INET, "192.0.2.1", 2525), "smtp", "reuseport", 2, 16)
    assert refused.value.code == os.EX_CONFIG


def test_ipv6_leaves_ipv4_alone() -> None:
    try:
        listener = listen(Endpoint(socket.AF_INET6, "::1", 0), "smtp", "reuseport", 2, 16)
    except StartError as error:
        pytest.skip(f"no IPv6 here: {error}")
    try:
        assert listener.sockets[0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    finally:
        close_all(listener.sockets)


def test_backlog_is_the_kernels() -> None:
    assert kernel_backlog() >= 128
