"""One connection out of the addresses of a host, by happy eyeballs (RFC 8305).

Call-backs, sockets and one timer at a time: no task. What opens a socket and what calls later is given, so that a
test is the network and the clock.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from itertools import zip_longest
from typing import NamedTuple, Protocol

STAGGER = 0.25
"""Seconds until the next address is tried beside those that have not answered (RFC 8305 §5)."""
ADDRESSES = 16
"""Addresses of one host that are tried; a name may have any number."""

Cancel = Callable[[], None]
Opened = Callable[[socket.socket | None, str], None]


class Connected(NamedTuple):
    """The connection that won: its socket, the address, and what went wrong with others before it."""

    sock: socket.socket
    address: str
    errors: list[tuple[str, str]]


class Unreachable(NamedTuple):
    """None came about; the reason for each address that was tried."""

    errors: list[tuple[str, str]]


class Opener(Protocol):
    """The network and the clock, as far as a race needs them."""

    def open(self, address: str, port: int, opened: Opened) -> Cancel:
        """Begin to connect. ``opened`` is called once, later, with the socket or with the reason why there is none;
        not after the returned call, which closes everything. Raises OSError when it cannot even begin."""

    def call_later(self, delay: float, call: Callable[[], None]) -> Cancel:
        """Call ``call`` in ``delay`` seconds, unless the returned call is made before."""


def interleave(v6: Sequence[str], v4: Sequence[str]) -> list[str]:
    """The addresses in the order of trying: the families by turns, IPv6 first (RFC 8305 §4); at most
    `ADDRESSES`."""
    pairs = zip_longest(v6, v4)
    found = dict.fromkeys(address for pair in pairs for address in pair if address is not None)
    return list(found)[:ADDRESSES]


class Race:
    """The attempts to reach one host. ``done`` is called once, never from within `start`, and not after `cancel`.

    A further address is tried `STAGGER` seconds after the one before, or as soon as that has failed. The first
    socket that is connected wins; the others are closed. ``each`` and ``total`` bound one attempt and all of them,
    in seconds.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        port: int,
        opener: Opener,
        done: Callable[[Connected | Unreachable], None],
        *,
        each: float,
        total: float,
        stagger: float = STAGGER,
    ) -> None:
        self._left = list(reversed(addresses))
        self._port = port
        self._opener = opener
        self._done = done
        self._each = each
        self._total = total
        self._stagger = stagger
        self._open: dict[str, tuple[Cancel, Cancel]] = {}
        self._timers: list[Cancel] = []
        self._next: Cancel | None = None
        self._errors: list[tuple[str, str]] = []
        self._over = False

    def start(self) -> None:
        """Begin."""
        self._timers.append(self._opener.call_later(self._total, self._too_long))
        self._timers.append(self._opener.call_later(0, self._try_next))

    def cancel(self) -> None:
        """Close what is open; nobody is told."""
        self._over = True
        if self._next is not None:
            self._next()
        for timer in self._timers:
            timer()
        for close, timer in self._open.values():
            timer()
            close()
        self._open.clear()

    def _try_next(self) -> None:
        self._next = None
        while self._left:
            address = self._left.pop()
            try:
                close = self._opener.open(address, self._port, self._opened(address))
            except OSError as error:
                self._errors.append((address, reason_of(error)))
                continue
            timer = self._opener.call_later(self._each, partial(self._timed_out, address))
            self._open[address] = (close, timer)
            if self._left:
                self._next = self._opener.call_later(self._stagger, self._try_next)
            return
        if not self._open:
            self._finish(Unreachable(self._errors))

    def _opened(self, address: str) -> Opened:
        def opened(sock: socket.socket | None, reason: str) -> None:
            _, timer = self._open.pop(address)
            timer()
            if sock is None:
                self._failed(address, reason)
            else:
                self._finish(Connected(sock, address, self._errors))

        return opened

    def _timed_out(self, address: str) -> None:
        close, _ = self._open.pop(address)
        close()
        self._failed(address, f"no connection within {self._each:g} s")

    def _failed(self, address: str, reason: str) -> None:
        self._errors.append((address, reason))
        if self._next is not None:
            self._next()
        self._try_next()

    def _too_long(self) -> None:
        for address in self._open:
            self._errors.append((address, f"no connection within {self._total:g} s"))
        self._finish(Unreachable(self._errors))

    def _finish(self, outcome: Connected | Unreachable) -> None:
        self.cancel()
        self._done(outcome)


def reason_of(error: OSError) -> str:
    """The error in the system's words."""
    return os.strerror(error.errno) if error.errno else str(error) or type(error).__name__


class LoopOpener:
    """The real one: sockets and timers of the running loop. ``source_v4`` and ``source_v6`` are addresses to bind
    to, empty for none."""

    def __init__(self, source_v4: str = "", source_v6: str = "") -> None:
        self._sources = {socket.AF_INET: source_v4, socket.AF_INET6: source_v6}

    def open(self, address: str, port: int, opened: Opened) -> Cancel:
        """See `Opener`."""
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            source = self._sources[family]
            if source:
                # connect(2) chooses the port, for this destination; bind(2) would, for all of them
                sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
                sock.bind((source, 0))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            error = sock.connect_ex((address, port))
            if error not in (0, errno.EINPROGRESS):
                raise OSError(error, os.strerror(error))
        except OSError:
            sock.close()
            raise
        handle = sock.fileno()

        def writable() -> None:
            loop.remove_writer(handle)
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                sock.close()
                opened(None, os.strerror(error))
            else:
                opened(sock, "")

        def close() -> None:
            loop.remove_writer(handle)
            sock.close()

        loop.add_writer(handle, writable)
        return close

    def call_later(self, delay: float, call: Callable[[], None]) -> Cancel:
        """See `Opener`."""
        return asyncio.get_running_loop().call_later(delay, call).cancel


_BIND_ADDRESS_NO_PORT = 24  # Linux' number; Python has no name for it yet
