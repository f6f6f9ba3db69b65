"""The numbers of the spool's shards: which exist, and which a new generation takes."""

import fcntl
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from fastsmtp.control.place import SPARE
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


def keep_spare(shard: Path) -> None:
    """Note that ``shard`` was closed with nothing in it. Where that cannot be, commands wait for somebody to open
    it."""
    with suppress(OSError):
        (shard / SPARE).touch(0o600)


def take_spare(shard: Path) -> None:
    """Something may be in ``shard`` from now on. Raises OSError."""
    (shard / SPARE).unlink(missing_ok=True)


_FILES = ("journal", "data.mdb", "lock.mdb", "clock", "clock.new", SPARE, "lock")
"""What is in the directory of a shard; the lock goes last."""
_DIRECTORIES = ("body", "corrupt")


def remove_shard(shard: Path) -> bool:
    """Remove the directory of a shard in which no message is; false where it stays, as there is more in it than
    belongs there, such as mail that was set aside, or another process has it."""
    try:
        if set(os.listdir(shard)) - {*_FILES, *_DIRECTORIES}:
            return False
        lock = os.open(shard / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for name in _DIRECTORIES:
            if (shard / name).exists():
                (shard / name).rmdir()
        for name in _FILES:
            (shard / name).unlink(missing_ok=True)
        shard.rmdir()
    except OSError:
        return False
    finally:
        os.close(lock)
    return True


def new_shards(count: int, used: Collection[int]) -> list[int]:
    """So many numbers that are not ``used``."""
    return [number for number in range(len(used) + count) if number not in used][:count]
