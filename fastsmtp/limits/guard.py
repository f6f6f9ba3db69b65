"""Counts connections over all workers, in memory that the master maps before it forks.

Every worker writes only its own counters and reads those of all, so nothing is locked; a limit may be passed
by the few connections that arrive in several workers at the same instant. An address falls into one of 65,536
buckets by a hash that an outsider cannot foretell; two addresses in one bucket share its limit, which with
ten thousand clients befalls one in seven and matters only to one that is near the limit itself. IPv6 clients
count by their /64, the smallest network a customer gets (RFC 6177 §2).
"""

import copy
import mmap
import secrets
import socket

from fastsmtp.limits.settings import LimitSettings
from fastsmtp.mail.reply import TOO_MANY_CONNECTIONS, TOO_MANY_FROM_HOST, Reply

BUCKETS = 65_536
EXEMPT = -1
_CACHED = 10_000
_MAPPED = bytes(10) + b"\xff\xff"
_LOOPBACK6 = bytes(15) + b"\x01"


class ConnectionGuard:
    """The shared counters. The master makes it before the first fork and hands each worker its view."""

    def __init__(self, workers: int, settings: LimitSettings) -> None:
        self.workers = workers
        self.settings = settings
        self.seed = secrets.randbits(64)
        # Bucket by bucket, each with one counter per worker side by side: a sum reads one cache line.
        self.open = _shared(2 * BUCKETS * workers).cast("H")
        self.total = _shared(4 * workers).cast("I")

    def worker(self, slot: int) -> "WorkerGuard":
        """The view of the worker in ``slot``, counted from 0."""
        return WorkerGuard(self, slot)

    def renewed(self, settings: LimitSettings) -> "ConnectionGuard":
        """The same counters with other limits."""
        renewed = copy.copy(self)
        renewed.settings = settings
        return renewed

    def clear(self, slot: int) -> None:
        """Forget what the worker in ``slot`` had counted: it is dead, and its connections with it."""
        zeros = memoryview(bytes(2 * BUCKETS)).cast("H")
        self.open[slot :: self.workers] = zeros
        self.total[slot] = 0


class WorkerGuard:
    """One worker's view: it counts in its own column and compares with the sum of all."""

    def __init__(self, guard: ConnectionGuard, slot: int) -> None:
        settings = guard.settings
        self._guard = guard
        self._slot = slot
        self._workers = guard.workers
        self._open = guard.open
        self._total = guard.total
        self._limit_total = settings.connections
        self._limit_open = settings.connections_per_ip
        self._exempt = settings.loopback_exempt
        self._places: dict[str, int] = {}

    def enter(self, ip: str) -> Reply | None:
        """A connection from ``ip`` arrived. None: it is counted, and `leave` must follow once. Otherwise the
        421 to send before closing it."""
        if sum(self._total) >= self._limit_total:
            return TOO_MANY_CONNECTIONS
        if self._limit_open:
            place = self._places.get(ip)
            if place is None:
                place = self._find(ip)
            if place != EXEMPT:
                if sum(self._open[place : place + self._workers]) >= self._limit_open:
                    return TOO_MANY_FROM_HOST
                self._open[place + self._slot] += 1
        self._total[self._slot] += 1
        return None

    def leave(self, ip: str) -> None:
        """A connection that `enter` had counted is gone."""
        if self._total[self._slot]:
            self._total[self._slot] -= 1
        if self._limit_open:
            place = self._places.get(ip)
            if place is None:
                place = self._find(ip)
            if place != EXEMPT and self._open[place + self._slot]:
                self._open[place + self._slot] -= 1

    def _find(self, ip: str) -> int:
        """The index of the first counter of the bucket of ``ip``, or EXEMPT."""
        network = network_of(ip)
        if self._exempt and is_loopback(network):
            place = EXEMPT
        else:
            # All workers are forked from one process, so str's hash is the same in each of them.
            place = hash((self._guard.seed, network)) % BUCKETS * self._workers
        if len(self._places) >= _CACHED:
            self._places.clear()
        self._places[ip] = place
        return place


def network_of(ip: str) -> bytes:
    """What counts as one client: the 4 bytes of an IPv4 address, the first 8 of an IPv6 one; the text itself
    when it is neither."""
    try:
        if ":" not in ip:
            return socket.inet_pton(socket.AF_INET, ip)
        packed = socket.inet_pton(socket.AF_INET6, ip.partition("%")[0])
    except OSError:
        return ip.encode("utf-8", "surrogateescape")
    if packed.startswith(_MAPPED):
        return packed[12:]
    return packed if packed == _LOOPBACK6 else packed[:8]


def is_loopback(network: bytes) -> bool:
    """Whether what `network_of` returned lies on this machine."""
    return network == _LOOPBACK6 or (len(network) == 4 and network[0] == 127)


def _shared(size: int) -> memoryview:
    """Zeroed memory that a fork shares; pages are taken only when they are written."""
    return memoryview(mmap.mmap(-1, size))
