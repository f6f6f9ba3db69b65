"""The numbers of the spool's shards: which exist, and which a new generation takes."""

import os
from collections.abc import Collection
from pathlib import Path

from fastsmtp.process.errors import StartError

_GENERATIONS = 3
"""Shards for so many generations are made before those that were adopted are wanted back."""


def existing_shards(spool: Path) -> list[int]:
    """The numbers of all shards below ``spool``. Raises `StartError`."""
    try:
        names = os.listdir(spool)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StartError(f"cannot read {spool}: {error.strerror}; check data_dir", os.EX_CANTCREAT) from None
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def fresh_shards(
    workers: int, existing: Collection[int], taken: Collection[int], orphans: Collection[int]
) -> tuple[list[int], list[int]]:
    """The numbers of shards for so many new workers: first those that are there and are nobody's, then new ones.
    Where there are many already, those of ``orphans``, which are among the ``taken``, that are wanted back before."""
    free = sorted(set(existing) - set(taken))[:workers]
    missing = workers - len(free)
    used = {*existing, *taken}
    if len(used) + missing > _GENERATIONS * workers and len(orphans) >= missing:
        return free, sorted(orphans)[:missing]
    return free + new_shards(missing, used), []


def new_shards(count: int, used: Collection[int]) -> list[int]:
    """So many numbers that are not ``used``."""
    return [number for number in range(len(used) + count) if number not in used][:count]
