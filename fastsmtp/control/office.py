"""Finds the desks of all shards: in the workers of a running server, else in the spool itself."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

from msgspec import Struct

from fastsmtp.control.client import ControlError, NotAllowed, RemoteDesk, shards_of
from fastsmtp.control.place import shards, slots, wanted_shards
from fastsmtp.control.queue import QueueDesk

SETTLE = 3.0
"""Seconds that a shard without a worker gets to find one: when a worker dies, another has its shard soon."""
_POLL = 0.1

Offline = Callable[[], AbstractContextManager[Mapping[int, QueueDesk]]]
"""Opens all shards while no server runs. Raises `NoQueue` when one does, `NotAllowed`."""


class NoQueue(Exception):
    """There is no queue to be asked; one line."""


class Office(Struct):
    """Who can be asked. ``offline``: no server runs; ``missing``: shards that nobody has open."""

    desks: Mapping[int, QueueDesk]
    offline: bool
    missing: list[int]


@asynccontextmanager
async def office(data_dir: Path, offline: Offline) -> AsyncIterator[Office]:
    """The desks of the queue in ``data_dir``. Raises `NoQueue`, `NotAllowed`, and `ControlError` for a server of
    another version."""
    try:
        desks, missing = await _online(data_dir)
        numbers = shards(data_dir)
    except PermissionError as error:
        raise NotAllowed(
            f"{error.filename}: permission denied; ask as root or as the server's user"
        ) from None
    except OSError as error:
        raise NoQueue(f"{error.filename}: {error.strerror}; check data_dir") from None
    if desks:
        yield Office(desks, False, missing)
        return
    if not numbers:
        raise NoQueue(
            f"no server runs on {data_dir} and there is no spool; name the server's settings file with -c"
        )
    with offline() as opened:
        yield Office(opened, True, [])


async def _online(data_dir: Path) -> tuple[dict[int, RemoteDesk], list[int]]:
    """What the workers have open, and the shards that none of them has."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLE
    while True:
        desks, problems = await shards_of(data_dir, slots(data_dir))
        for problem in problems:
            if problem.fault is not None:
                raise ControlError(str(problem), problem.fault)
        missing = [number for number in wanted_shards(data_dir) if number not in desks]
        if not desks or not missing or loop.time() >= deadline:
            return desks, missing
        await asyncio.sleep(_POLL)
