"""Connections that are kept for the next message to the same place.

The latest one to come back is handed out first, so that those not needed grow old and go. Times are given by the
caller; nothing here waits.
"""

from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

MOST_IDLE = 1000
"""Connections kept at most by one process; beyond that the one that has been idle longest goes."""


class Kept(Protocol):
    """What a pool needs to know of a connection."""

    opened: float
    """When it was made, monotonic seconds."""
    uses: int
    """Messages sent over it."""
    idle_since: float
    """When it came back to the pool, monotonic seconds; written by the pool."""

    @property
    def alive(self) -> bool:
        """Whether a message may be begun: the peer has neither closed nor said anything unasked."""

    def retire(self) -> None:
        """Say goodbye and close; not waited for."""


C = TypeVar("C", bound=Kept)


class Pool(Generic[C]):
    """Idle connections by key: whatever makes two connections exchangeable. ``idle`` and ``lifetime`` in seconds."""

    def __init__(self, *, idle: float, uses: int, lifetime: float, most: int = MOST_IDLE) -> None:
        self._idle = idle
        self._uses = uses
        self._lifetime = lifetime
        self._most = most
        self._by_key: dict[Hashable, list[C]] = {}
        self._order: dict[C, Hashable] = {}  # by the time of their coming back

    def __len__(self) -> int:
        return len(self._order)

    def take(self, key: Hashable, now: float) -> C | None:
        """A connection to go on with, or None. Those that died, or are too old, are let go on the way."""
        kept = self._by_key.get(key)
        while kept:
            connection = kept.pop()
            del self._order[connection]
            if not kept:
                del self._by_key[key]
            if connection.alive and now - connection.opened < self._lifetime:
                return connection
            connection.retire()
        return None

    def give(self, key: Hashable, connection: C, now: float) -> None:
        """Keep a connection that has nothing to do, or let it go when it has done its share."""
        if (
            not connection.alive
            or self._idle <= 0
            or connection.uses >= self._uses
            or now - connection.opened >= self._lifetime
        ):
            connection.retire()
            return
        if len(self._order) >= self._most:
            self.remove(oldest := next(iter(self._order)))
            oldest.retire()
        connection.idle_since = now
        self._by_key.setdefault(key, []).append(connection)
        self._order[connection] = key

    def remove(self, connection: C) -> None:
        """A connection is no longer to be handed out, because it is gone; nothing when it was not kept."""
        key = self._order.pop(connection, None)
        if key is not None:
            kept = self._by_key[key]
            kept.remove(connection)
            if not kept:
                del self._by_key[key]

    def tick(self, now: float) -> None:
        """Let go what has been idle for too long."""
        while self._order:
            oldest = next(iter(self._order))
            if now - oldest.idle_since < self._idle:
                return
            self.remove(oldest)
            oldest.retire()

    def clear(self) -> None:
        """Let all go."""
        while self._order:
            self.remove(oldest := next(iter(self._order)))
            oldest.retire()
