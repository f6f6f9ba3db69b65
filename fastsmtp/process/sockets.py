"""The listening sockets: made and held by the master for as long as it lives.

With ``accept = "reuseport"`` every listener has one socket per worker and the kernel spreads connections over
them by a hash; with ``"shared"`` it has one that all workers watch. The master closes none that is wanted, so what
waits in a dead worker's queue is not reset: a sibling or the successor answers it, of the next generation too.
"""

import errno
import os
import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fastsmtp.config.values import Endpoint
from fastsmtp.process.errors import StartError


class Wanted(NamedTuple):
    """A listener that is to be: ``shared``: one socket is for all."""

    endpoint: Endpoint
    protocol: str
    shared: bool


class Listener(NamedTuple):
    """One bound listener of a generation: ``protocol`` as in its settings, ``number``: which of them it is. With
    ``workers`` its ``sockets`` are divided among so many, otherwise all workers accept from all."""

    endpoint: Endpoint
    protocol: str
    sockets: tuple[socket.socket, ...]
    number: int = 0
    workers: int = 0

    def of(self, index: int) -> tuple[socket.socket, ...]:
        """The sockets that the worker of ``index`` accepts from; where workers became fewer, those of the others
        too: a socket that is closed resets what waits in its queue."""
        return self.sockets[index :: self.workers] if self.workers else self.sockets


class _Bound:
    """The sockets of one listener, as long as any generation has it; ``shared``: one, and never more."""

    __slots__ = ("endpoint", "listening", "shared", "sockets")

    def __init__(self, endpoint: Endpoint, shared: bool) -> None:
        self.endpoint = endpoint
        self.shared = shared
        self.sockets: list[socket.socket] = []
        self.listening = 0
        """How many of them do."""


Key = tuple[Endpoint, int]
"""The address as it is wanted, and which of those that want the same one: port 0 may be wanted more than once."""


class SocketPool:
    """All listening sockets of a master. Generations get theirs by `bind`, which keeps those that are there; new ones
    take connections after `listen`."""

    def __init__(self, backlog: int) -> None:
        self._backlog = backlog
        self._bound: dict[Key, _Bound] = {}

    def bind(self, wanted: Iterable[Wanted], workers: int) -> tuple[Listener, ...]:
        """The listeners that are wanted, bound.

        Raises `StartError`, its text naming the address, and has bound nothing then: EX_TEMPFAIL when somebody
        listens there already, EX_NOPERM when the port is privileged, EX_CONFIG when the address is not this
        machine's.
        """
        listeners = []
        try:
            for number, (key, one) in enumerate(keyed(wanted)):
                bound = self._grown(key, workers, one.shared)
                divided = 0 if bound.shared else workers
                listeners.append(
                    Listener(bound.endpoint, one.protocol, tuple(bound.sockets), number, divided)
                )
        except StartError:
            self.take_back()
            raise
        return tuple(listeners)

    def listen(self) -> None:
        """Take connections on all that are bound. Raises `StartError`, EX_TEMPFAIL when somebody was faster."""
        for bound in self._bound.values():
            for sock in bound.sockets[bound.listening :]:
                try:
                    sock.listen(self._backlog)
                except OSError as error:
                    raise _explained(bound.endpoint, error) from None
                bound.listening += 1

    def take_back(self) -> None:
        """Close what is bound and takes no connections."""
        for key, bound in list(self._bound.items()):
            close_all(bound.sockets[bound.listening :])
            del bound.sockets[bound.listening :]
            if not bound.sockets:
                del self._bound[key]

    def keep(self, wanted: Iterable[Wanted]) -> None:
        """Close all others."""
        keys = {key for key, _ in keyed(wanted)}
        for key in self._bound.keys() - keys:
            close_all(self._bound.pop(key).sockets)

    def inherit(self, endpoint: Endpoint, place: int, shared: bool, sockets: Sequence[socket.socket]) -> None:
        """Sockets that take connections already, for the ``place``-th listener that wants this ``endpoint``."""
        name = sockets[0].getsockname()
        bound = _Bound(endpoint._replace(port=name[1]), shared)
        for sock in sockets:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound.sockets += sockets
        bound.listening = len(sockets)
        self._bound[(endpoint, place)] = bound

    def contents(self) -> list[tuple[Endpoint, int, bool, list[socket.socket]]]:
        """All that take connections, as `inherit` takes them."""
        return [
            (endpoint, place, bound.shared, bound.sockets[: bound.listening])
            for (endpoint, place), bound in self._bound.items()
        ]

    def close(self) -> None:
        """Close all."""
        self.keep(())

    def _grown(self, key: Key, count: int, shared: bool) -> _Bound:
        """The sockets of ``key``, ``count`` of them at least unless one has to do."""
        bound = self._bound.get(key)
        try:
            if bound is None:
                bound = _Bound(key[0], shared)
                # A second server of the same user would join a reuseport group without an error and take a share
                # of its connections, so ask with a plain bind first.
                _bind(bound.endpoint, reuseport=False).close()
            while len(bound.sockets) < (1 if bound.shared else count):
                sock = _bind(bound.endpoint, reuseport=not bound.shared)
                bound.sockets.append(sock)
                bound.endpoint = bound.endpoint._replace(
                    port=sock.getsockname()[1]
                )  # the kernel's choice for 0
                self._bound[key] = bound
        except OSError as error:
            raise _explained(key[0] if bound is None else bound.endpoint, error) from None
        return bound


def vanished(wanted: Iterable[Wanted], before: Iterable[Wanted]) -> list[int]:
    """The numbers of those listeners ``before`` that are not ``wanted`` any more."""
    keys = {key for key, _ in keyed(wanted)}
    return [number for number, (key, _) in enumerate(keyed(before)) if key not in keys]


def keyed(wanted: Iterable[Wanted]) -> Iterator[tuple[Key, Wanted]]:
    """Each with its key."""
    seen: Counter[Endpoint] = Counter()
    for one in wanted:
        yield (one.endpoint, seen[one.endpoint]), one
        seen[one.endpoint] += 1


def probe(endpoint: Endpoint) -> None:
    """Bind ``endpoint`` and let it go again, without listening. Raises `StartError` as `listen` does."""
    try:
        _bind(endpoint, reuseport=False).close()
    except OSError as error:
        raise _explained(endpoint, error) from None


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


def _bind(endpoint: Endpoint, *, reuseport: bool) -> socket.socket:
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
