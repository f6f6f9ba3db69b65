"""Listening sockets: spread or shared, and refusals that name the address."""

import os
import socket
from collections.abc import Iterator

import pytest

from fastsmtp.config.values import Endpoint
from fastsmtp.process.errors import StartError
from fastsmtp.process.sockets import Listener, SocketPool, Wanted, close_all, kernel_backlog, vanished

ANY = Endpoint(socket.AF_INET, "127.0.0.1", 0)


def listen(endpoint: Endpoint, accept: str, workers: int) -> Listener:
    """A listener of its own, which takes connections."""
    pool = SocketPool(16)
    (listener,) = pool.bind([Wanted(endpoint, "smtp", accept == "shared")], workers)
    pool.listen()
    return listener


@pytest.fixture
def taken() -> Iterator[Endpoint]:
    """An address somebody listens on."""
    listener = listen(ANY, "reuseport", 2)
    yield listener.endpoint
    close_all(listener.sockets)


def test_reuseport_has_a_socket_per_worker_on_one_port() -> None:
    listener = listen(ANY, "reuseport", 3)
    try:
        assert len(listener.sockets) == 3
        assert {sock.getsockname() for sock in listener.sockets} == {("127.0.0.1", listener.endpoint.port)}
        assert all(sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) for sock in listener.sockets)
        assert [listener.of(place) for place in range(3)] == [(sock,) for sock in listener.sockets]
    finally:
        close_all(listener.sockets)


def test_a_shared_socket_is_for_all() -> None:
    listener = listen(ANY, "shared", 3)
    try:
        assert len(listener.sockets) == 1
        assert not listener.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
        assert listener.of(0) == listener.of(2) == listener.sockets
    finally:
        close_all(listener.sockets)


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_a_taken_port_is_refused_even_where_reuseport_would_share_it(taken: Endpoint, accept: str) -> None:
    with pytest.raises(StartError) as refused:
        listen(taken, accept, 2)
    assert f"cannot listen on 127.0.0.1:{taken.port}: another program does" in str(refused.value)
    assert refused.value.code == os.EX_TEMPFAIL


def test_a_port_that_has_just_been_used_is_free(taken: Endpoint) -> None:
    """Connections in TIME_WAIT must not keep the server from starting again."""
    listener = listen(ANY, "shared", 1)
    client = socket.create_connection((listener.endpoint.host, listener.endpoint.port))
    listener.sockets[0].setblocking(True)
    peer, _ = listener.sockets[0].accept()
    peer.close()
    client.close()
    close_all(listener.sockets)
    close_all(listen(listener.endpoint, "reuseport", 2).sockets)


def test_all_or_none(taken: Endpoint) -> None:
    free = listen(ANY, "shared", 1)
    close_all(free.sockets)
    with pytest.raises(StartError):
        SocketPool(16).bind([Wanted(free.endpoint, "smtp", False), Wanted(taken, "smtp", False)], 2)
    close_all(listen(free.endpoint, "reuseport", 2).sockets)


def greeted(listener: Listener, places: int) -> list[int]:
    """Connect until a socket of each of so many workers has had a client; how many each has."""
    counts = [0] * places
    while not all(counts):
        with socket.create_connection((listener.endpoint.host, listener.endpoint.port)):
            for place in range(places):
                for sock in listener.of(place):
                    try:
                        sock.accept()[0].close()
                    except BlockingIOError:
                        continue
                    counts[place] += 1
    return counts


@pytest.mark.parametrize("workers", [1, 3, 4])
def test_the_next_generation_has_the_same_sockets_whatever_its_number(workers: int) -> None:
    pool = SocketPool(16)
    wanted = [Wanted(ANY, "smtp", False)]
    (before,) = pool.bind(wanted, 2)
    pool.listen()
    (after,) = pool.bind(wanted, workers)
    pool.listen()
    assert after.sockets[:2] == before.sockets
    assert after.endpoint == before.endpoint
    assert len(after.sockets) == max(2, workers)
    served = [sock for place in range(workers) for sock in after.of(place)]
    assert sorted(sock.fileno() for sock in served) == sorted(sock.fileno() for sock in after.sockets)
    greeted(after, workers)
    pool.close()


def test_a_generation_that_is_given_up_leaves_what_was() -> None:
    pool = SocketPool(16)
    (before,) = pool.bind([Wanted(ANY, "smtp", False)], 1)
    pool.listen()
    other = listen(ANY, "shared", 1)
    close_all(other.sockets)
    pool.bind([Wanted(ANY, "smtp", False), Wanted(other.endpoint, "smtp", True)], 2)
    pool.take_back()
    greeted(before, 1)
    close_all(listen(other.endpoint, "shared", 1).sockets)
    pool.close()


def test_a_listener_that_is_not_wanted_any_more_is_closed() -> None:
    pool = SocketPool(16)
    kept, gone = Wanted(ANY, "smtp", True), Wanted(ANY, "lmtp", True)
    first, second = pool.bind([kept, gone], 1)
    pool.listen()
    assert vanished([kept], [kept, gone]) == [1]
    pool.keep([kept])
    assert first.sockets[0].fileno() >= 0
    assert second.sockets[0].fileno() < 0
    pool.close()


def test_sockets_that_were_handed_over_are_used() -> None:
    pool = SocketPool(16)
    pool.bind([Wanted(ANY, "smtp", False)], 2)
    pool.listen()
    heir = SocketPool(16)
    for endpoint, place, shared, sockets in pool.contents():
        heir.inherit(endpoint, place, shared, sockets)
    (listener,) = heir.bind([Wanted(ANY, "smtp", False)], 2)
    greeted(listener, 2)
    heir.close()


def test_an_address_of_another_machine() -> None:
    with pytest.raises(StartError, match="not an address of this machine") as refused:
        listen(Endpoint(socket.AF_INET, "192.0.2.1", 2525), "reuseport", 2)
    assert refused.value.code == os.EX_CONFIG


def test_ipv6_leaves_ipv4_alone() -> None:
    try:
        listener = listen(Endpoint(socket.AF_INET6, "::1", 0), "reuseport", 2)
    except StartError as error:
        pytest.skip(f"no IPv6 here: {error}")
    try:
        assert listener.sockets[0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    finally:
        close_all(listener.sockets)


def test_backlog_is_the_kernels() -> None:
    assert kernel_backlog() >= 128
