"""The listening sockets: made and held by the master for as long as it lives.

With ``accept = "reuseport"`` every listener has one socket per worker and the kernel spreads connections over
them by a hash; with ``"shared"`` it has one that all workers watch. The master never closes one while it
lives, so what waits in a dead worker's queue is not reset: a sibling or the successor answers it.
"""

import errno
import os
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from fastsmtp.config.values import Endpoint
from fastsmtp.process.errors import StartError

Accept = Literal["reuseport", "shared"]


class Listener(NamedTuple):
    """One bound listener: ``protocol`` as in its settings, ``sockets`` one for each worker or one for all;
    ``number``: which of the settings' listeners it is."""

    endpoint: Endpoint
    protocol: str
    sockets: tuple[socket.socket, ...]
    number: int = 0

    def of(self, slot: int) -> socket.socket | None:
        """The socket the worker in ``slot`` accepts from; None for a slot that has none."""
        if len(self.sockets) == 1:
            return self.sockets[0]
        return self.sockets[slot] if slot < len(self.sockets) else None


def listen(endpoint: Endpoint, protocol: str, accept: Accept, workers: int, backlog: int) -> Listener:
    """Bind and listen on ``endpoint``.

    Raises `StartError`, its text naming the address: EX_TEMPFAIL when somebody listens there already,
    EX_NOPERM when the port is privileged, EX_CONFIG when the address is not this machine's.
    """
    count = workers if accept == "reuseport" else 1
    sockets: list[socket.socket] = []
    try:
        # A second server of the same user would join a reuseport group without an error and take a share of
        # its connections, so ask with a plain bind first.
        _bound(endpoint, reuseport=False).close()
        for _ in range(count):
            sockets.append(_bound(endpoint, reuseport=count > 1))
            endpoint = endpoint._replace(port=sockets[0].getsockname()[1])  # the kernel's choice for port 0
        for sock in sockets:
            sock.listen(backlog)
    except OSError as error:
        close_all(sockets)
        raise _explained(endpoint, error) from None
    return Listener(endpoint, protocol, tuple(sockets))


def probe(endpoint: Endpoint) -> None:
    """Bind ``endpoint`` and let it go again, without listening. Raises `StartError` as `listen` does."""
    try:
        _bound(endpoint, reuseport=False).close()
    except OSError as error:
        raise _explained(endpoint, error) from None


def listen_all(
    wanted: Iterable[tuple[Endpoint, str]], accept: Accept, workers: int, backlog: int
) -> tuple[Listener, ...]:
    """`listen` on every endpoint with its protocol; all or none."""
    bound: list[Listener] = []
    try:
        for number, (endpoint, protocol) in enumerate(wanted):
            bound.append(listen(endpoint, protocol, accept, workers, backlog)._replace(number=number))
    except StartError:
        for listener in bound:
            close_all(listener.sockets)
        raise
    return tuple(bound)


def close_all(sockets: Sequence[socket.socket]) -> None:
    """Close every one."""
    for sock in sockets:
        sock.close()


def kernel_backlog() -> int:
    """The longest accept queue the kernel allows (net.core.somaxconn)."""
    try:
        return int(Path("/proc/sys/net/core/somaxconn").read_text())
    except (OSError, ValueError):
        return socket.SOMAXCONN


def _bound(endpoint: Endpoint, *, reuseport: bool) -> socket.socket:
    sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if endpoint.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if reuseport:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Accepted sockets inherit it: replies are whole when they are written, waiting gains nothing.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        sock.bind((endpoint.host, endpoint.port))
    except OSError:
        sock.close()
        raise
    return sock


def _explained(endpoint: Endpoint, error: OSError) -> StartError:
    if error.errno == errno.EADDRINUSE:
        return StartError(
            f"cannot listen on {endpoint}: another program does; stop it or change the listener's address",
            os.EX_TEMPFAIL,
        )
    if error.errno == errno.EACCES:
        return StartError(
            f"cannot listen on {endpoint}: ports below 1024 need root or CAP_NET_BIND_SERVICE; start as root "
            f"with `user` set, or use a port such as 2525",
            os.EX_NOPERM,
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return StartError(
            f"cannot listen on {endpoint}: not an address of this machine; correct the listener's address"
        )
    return StartError(f"cannot listen on {endpoint}: {error.strerror}", os.EX_OSERR)
