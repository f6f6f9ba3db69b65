"""Which worker delivers to a site: always the same, so that its limits hold over all workers together.

Every worker answers alike without asking another: each slot has a score for each site, and the highest among those
that live is the owner (rendezvous hashing). When a worker dies, its sites alone move, spread over the others; when
it is back, they come home.
"""

from collections.abc import Iterable
from hashlib import blake2b

_MASK = (1 << 64) - 1


def owner_of(site: str, slots: Iterable[int]) -> int:
    """The slot among ``slots``, the worker slots that live, that owns ``site``. The same in every process and on
    every machine. ValueError when ``slots`` is empty."""
    key = int.from_bytes(blake2b(site.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "little")
    return max(slots, key=lambda slot: (_score(key, slot), slot))


def _score(key: int, slot: int) -> int:
    """64 bits in which each bit of both numbers tells."""
    mixed = (key ^ (slot + 1) * 0x9E3779B97F4A7C15) & _MASK
    for multiplier in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
        mixed = (mixed ^ mixed >> 31) * multiplier & _MASK
    return mixed ^ mixed >> 32
