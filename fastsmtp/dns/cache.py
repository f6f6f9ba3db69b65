"""Answers kept until their time is over; those who ask for one that is on its way wait for it together."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from msgspec import Struct

from fastsmtp.clock import Clock

V = TypeVar("V")
K = TypeVar("K")


class Kept(Struct, Generic[V], frozen=True):
    """What a look-up came to: ``value``, never None, for ``ttl`` seconds; ``weight`` about its bytes of memory."""

    value: V
    ttl: float
    weight: int


class Cache(Generic[K, V]):
    """At most ``entries`` values and ``weight`` bytes; who was not asked for longest goes first."""

    def __init__(self, clock: Clock, *, entries: int, weight: int) -> None:
        self._clock = clock
        self._most_entries = entries
        self._most_weight = weight
        self._weight = 0
        self._kept: OrderedDict[K, tuple[float, Kept[V]]] = OrderedDict()
        self._coming: dict[K, asyncio.Task[Kept[V]]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> V | None:
        """The value, when there is one whose time is not over."""
        entry = self._kept.get(key)
        if entry is None:
            return None
        expires, kept = entry
        if expires <= self._clock.monotonic():
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return kept.value

    async def ask(self, key: K, look_up: Callable[[], Awaitable[Kept[V]]]) -> V:
        """The value, from ``look_up`` when it is not here. One look-up serves all who ask meanwhile; it goes on when
        they are cancelled, as the next one will ask for the same. ``look_up`` raises nothing that is expected."""
        value = self.get(key)
        if value is not None:
            return value
        task = self._coming.get(key)
        if task is None:
            task = asyncio.create_task(self._fill(key, look_up))
            self._coming[key] = task
        return (await asyncio.shield(task)).value

    def close(self) -> None:
        """Cancel what is on its way; who waits for it is cancelled too."""
        for task in list(self._coming.values()):
            task.cancel()

    async def _fill(self, key: K, look_up: Callable[[], Awaitable[Kept[V]]]) -> Kept[V]:
        try:
            kept = await look_up()
        finally:
            del self._coming[key]
        self._drop(key)
        self._kept[key] = (self._clock.monotonic() + kept.ttl, kept)
        self._weight += kept.weight
        while len(self._kept) > self._most_entries or self._weight > self._most_weight:
            self._drop(next(iter(self._kept)))
        return kept

    def _drop(self, key: K) -> None:
        entry = self._kept.pop(key, None)
        if entry is not None:
            self._weight -= entry[1].weight
