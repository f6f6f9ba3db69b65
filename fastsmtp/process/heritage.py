"""Listening sockets that were open before this program began: handed over by the master before it, or by systemd.

An upgrade runs the installed program anew, as a child of the old master. It finds in its environment, as JSON,
which of its descriptors are what: the listening sockets, the lock of `data_dir`, the channel by which the two
masters speak, and the memory of the metrics.
"""

import os
import socket
from collections.abc import MutableMapping

import msgspec
from msgspec import Struct

from fastsmtp.config.values import Endpoint
from fastsmtp.process.errors import StartError
from fastsmtp.process.sockets import Key, SocketPool, Wanted, keyed
from fastsmtp.telemetry.metrics_table import LAYOUT, MetricTable

VARIABLE = "FASTSMTP_HERITAGE"
_FIRST = 3
"""The first of systemd's descriptors: sd_listen_fds(3)."""


class InheritedListener(Struct, kw_only=True):
    """See `SocketPool.inherit`; ``files`` are the descriptors of its sockets."""

    family: int
    host: str
    port: int
    place: int
    shared: bool
    files: list[int]


class InheritedMetrics(Struct, kw_only=True):
    """A `MetricTable` of ``layout``; ``file`` is the descriptor of its memory."""

    file: int
    layout: int
    started: float


class Heritage(Struct, kw_only=True):
    """What the old master, of ``generation``, hands over; ``channel`` and ``lock``, that of ``data_dir``, are
    descriptors. An older program has no ``metrics``."""

    generation: int
    data_dir: str
    channel: int
    lock: int
    listeners: list[InheritedListener]
    metrics: InheritedMetrics | None = None

    @property
    def files(self) -> list[int]:
        """All descriptors."""
        metrics = [] if self.metrics is None else [self.metrics.file]
        return [self.channel, self.lock, *metrics, *(file for one in self.listeners for file in one.files)]

    def metric_table(self, now: float) -> MetricTable:
        """The one that was handed over, a new one where this program counts other things; ``now`` in seconds since
        1970."""
        given = self.metrics
        if given is not None and given.layout == LAYOUT:
            return MetricTable(given.started, given.file)
        if given is not None:
            os.close(given.file)
        return MetricTable(now)

    def fill(self, pool: SocketPool) -> None:
        """Give ``pool`` the listening sockets."""
        for one in self.listeners:
            endpoint = Endpoint(socket.AddressFamily(one.family), one.host, one.port)
            sockets = [socket.socket(fileno=file) for file in one.files]
            pool.inherit(endpoint, one.place, one.shared, sockets)


def heritage_of(
    generation: int, data_dir: str, channel: int, lock: int, pool: SocketPool, metrics: MetricTable
) -> Heritage:
    """What is handed over by this process."""
    listeners = [
        InheritedListener(
            family=int(endpoint.family),
            host=endpoint.host,
            port=endpoint.port,
            place=place,
            shared=shared,
            files=[sock.fileno() for sock in sockets],
        )
        for endpoint, place, shared, sockets in pool.contents()
    ]
    return Heritage(
        generation=generation,
        data_dir=data_dir,
        channel=channel,
        lock=lock,
        listeners=listeners,
        metrics=InheritedMetrics(file=metrics.file, layout=LAYOUT, started=metrics.started),
    )


def take_heritage(environ: MutableMapping[str, str]) -> Heritage | None:
    """What was handed to this process; what it starts gets none of it. Raises `StartError`."""
    text = environ.pop(VARIABLE, None)
    if text is None:
        return None
    try:
        heritage = msgspec.json.decode(text, type=Heritage)
        for file in heritage.files:
            os.set_inheritable(file, False)
    except (msgspec.MsgspecError, OSError) as error:
        raise StartError(
            f"{VARIABLE}: {error}; it is for the server's own use: unset it", os.EX_USAGE
        ) from None
    return heritage


def activate(environ: MutableMapping[str, str], wanted: list[Wanted], pool: SocketPool) -> list[str]:
    """Give ``pool`` the sockets that systemd has opened, sd_listen_fds(3): each for the listener of its address, else
    for the first one of the protocol that is its name (``FileDescriptorName=``). Returns what is to be told."""
    count, names = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_FDNAMES", "").split(":")
    if environ.pop("LISTEN_PID", "") != str(os.getpid()) or not count.isdigit():
        return []
    notes = []
    free = [(key, one.protocol) for key, one in keyed(wanted)]
    for number in range(int(count)):
        file = _FIRST + number
        try:
            os.set_inheritable(file, False)
            sock = socket.socket(fileno=file)
        except OSError as error:
            notes.append(f"WARNING: descriptor {file} of systemd cannot be used: {error.strerror}")
            continue
        name = names[number] if number < len(names) else ""
        found = _listener_of(sock, name, free)
        if found is None:
            notes.append(
                f"WARNING: no listener is for the socket {_said(sock)} of systemd ({name}): it is closed"
            )
            sock.close()
            continue
        free.remove(found)
        (endpoint, place), _ = found
        pool.inherit(endpoint, place, True, [sock])
        notes.append(f"listening on {_said(sock)} by a socket of systemd")
    return notes


def _listener_of(sock: socket.socket, name: str, free: list[tuple[Key, str]]) -> tuple[Key, str] | None:
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != socket.SOCK_STREAM:
        return None
    address = Endpoint(socket.AddressFamily(sock.family), *sock.getsockname()[:2])
    by_address = [one for one in free if one[0][0] == address]
    by_name = [one for one in free if one[1] == name]
    return next(iter(by_address + by_name), None)


def _said(sock: socket.socket) -> str:
    name = sock.getsockname()
    return f"{name[0]} port {name[1]}" if isinstance(name, tuple) else str(name)
