"""The listening sockets: made and held by the master for as long as it lives.

With ``accept = "reuseport"`` every listener has one socket per worker and the kernel spreads connections over
them by a hash; with ``"shared"`` it has one that all workers watch. The master never closes one while it
lives, so what waits in a dead worker's queue is not reset: a sibling or the successor answers it.
"""

import errno
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from fastsmtp.process.errors import StartError

Accept = Literal["reuseport", "shared"]


class Endpoint(NamedTuple):
    """An address to listen on."""

    host: str
    port: int
    family: socket.AddressFamily

    def __str__(self) -> str:
        host = f"[{self.host}]" if self.family == socket.AF_INET6 else self.host
        return f"{host}:{self.port}"


class Listener(NamedTuple):
    """One bound listener: ``address`` as bound (a port 0 replaced), ``protocol`` of its settings, ``sockets``
    one for each worker, or a single one for all."""

    address: str
    protocol: str
    sockets: tuple[socket.socket, ...]

    def of(self, slot: int) -> socket.socket | None:
        """The socket the worker in ``slot`` accepts from; None for a slot that has none."""
        if len(self.sockets) == 1:
            return self.sockets[0]
        return self.sockets[slot] if slot < len(self.sockets) else None


def parse_endpoint(address: str) -> Endpoint:
    """``1.2.3.4:25`` or ``[::1]:25``; raises `ValueError` with a line that says what is accepted."""
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError(f"{address!r} is not ADDRESS:PORT, such as 127.0.0.1:2525 or [::1]:25")
    family = socket.AF_INET
    if host.startswith("[") and host.endswith("]"):
        host, family = host[1:-1], socket.AF_INET6
    try:
        socket.inet_pton(family, host)
    except (OSError, ValueError):
        raise ValueError(f"{address!r}: {host!r} is not an IP address; IPv6 goes into [ ]") from None
    return Endpoint(host, int(port), family)


def listen(address: str, protocol: str, accept: Accept, workers: int, backlog: int) -> Listener:
    """Bind and listen on ``address``.

    Raises `StartError`, its text naming the address: EX_TEMPFAIL when somebody listens there already,
    EX_NOPERM when the port is privileged, EX_CONFIG when the address is not this machine's.
    """
    try:
        wanted = parse_endpoint(address)
    except ValueError as error:
        raise StartError(f"listeners: {error}") from None
    count = workers if accept == "reuseport" else 1
    sockets: list[socket.socket] = []
    try:
        # A second server of the same user would join a reuseport group without an error and take a share of
        # its connections, so ask with a plain bind first.
        with _bound(wanted, reuseport=False):
            pass
        for _ in range(count):
            sockets.append(_bound(wanted, reuseport=count > 1))
            wanted = wanted._replace(port=sockets[0].getsockname()[1])
        for sock in sockets:
            sock.listen(backlog)
    except OSError as error:
        close_all(sockets)
        raise _explained(wanted, error) from None
    return Listener(str(wanted), protocol, tuple(sockets))


def listen_all(
    listeners: Sequence[tuple[str, str]], accept: Accept, workers: int, backlog: int
) -> tuple[Listener, ...]:
    """`listen` on every (address, protocol); all or none."""
    bound: list[Listener] = []
    try:
        for address, protocol in listeners:
            bound.append(listen(address, protocol, accept, workers, backlog))
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
            f"cannot listen on {endpoint}: another program does already; stop it or change the listener's address",
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
