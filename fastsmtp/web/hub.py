"""The workers, as the HTTP process asks them by their control sockets."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from fastsmtp.control.client import PATIENCE, ControlError, NotThere, RemoteDesk, ask, shards_of
from fastsmtp.control.office import SETTLE
from fastsmtp.control.place import DIRECTORY, slots, socket_path, wanted_shards
from fastsmtp.control.queue import NotPossible
from fastsmtp.web.problem import Problem, later

_AT_ONCE = 12
"""Requests that one worker is asked at a time: it answers 32 connections, and commands come too."""
_LOGINS = 6
"""Logins besides: wrong ones are answered slowly, and nobody who has the right password waits for them to send."""
_PATIENCE = 10.0
"""Seconds that a request waits for its turn."""
_POLL = 0.05
_NOT_HERE = ("version", "verb")
"""Faults of a worker that does not do such a thing, yet or any more: one that is to follow others, or theirs."""
_STATUS = {"missing": 404, "impossible": 409, "request": 422}
"""HTTP status of what a worker does not do."""


class Hub:
    """Asks those that live in ``data_dir``."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._turn = count()
        self._room: dict[tuple[int, bool], asyncio.Semaphore] = {}

    async def any(self, verb: str, argument: object, form: Any) -> Any:
        """What a worker answers, each in its turn; the next one where one is not there, and for a while again, as
        when workers follow others. Raises `Problem`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SETTLE
        while True:
            found = self._slots()
            first = next(self._turn)
            for number in range(len(found)):
                slot = found[(first + number) % len(found)]
                try:
                    async with self._turn_of(slot, verb):
                        return await ask(socket_path(self._data_dir, slot), verb, argument, form)
                except NotThere:
                    continue
                except (ControlError, NotPossible) as error:
                    if isinstance(error, ControlError) and error.fault in _NOT_HERE:
                        continue
                    raise problem_of(error) from None
            if loop.time() >= deadline:
                raise later("no worker of the server answers")
            await asyncio.sleep(_POLL)

    @asynccontextmanager
    async def _turn_of(self, slot: int, verb: str) -> AsyncIterator[None]:
        login = verb == "mail.login"
        room = self._room.setdefault((slot, login), asyncio.Semaphore(_LOGINS if login else _AT_ONCE))
        try:
            async with asyncio.timeout(_PATIENCE):
                await room.acquire()
        except TimeoutError:
            raise later("too many requests at once") from None
        try:
            yield
        finally:
            room.release()

    async def every(self, verb: str, argument: object, form: Any) -> list[Any]:
        """What all workers answer; those that are not there are left out. Raises `Problem`, also when none is."""
        found = []
        for slot in self._slots():
            try:
                found.append(await ask(socket_path(self._data_dir, slot), verb, argument, form))
            except NotThere:
                continue
            except (ControlError, NotPossible) as error:
                raise problem_of(error) from None
        if not found:
            raise later("no worker of the server answers")
        return found

    async def named(self, name: str, verb: str, form: Any, *, patience: float = PATIENCE) -> Any:
        """What the process whose socket has this name answers, within ``patience`` seconds. Raises `Problem`."""
        try:
            return await ask(self._data_dir / DIRECTORY / name, verb, None, form, patience=patience)
        except NotThere:
            raise later(f"the server's {name} does not answer") from None
        except (ControlError, NotPossible) as error:
            raise problem_of(error) from None

    @asynccontextmanager
    async def queue(self) -> AsyncIterator[tuple[Mapping[int, RemoteDesk], bool]]:
        """The desks of the queue, and whether they are all there are. Raises `Problem`, also for what goes wrong
        while they are in use."""
        try:
            desks, _ = await shards_of(self._data_dir, self._slots())
            if not desks:
                raise later("no worker of the server answers")
            yield desks, not set(wanted_shards(self._data_dir)) - set(desks)
        except (ControlError, NotPossible) as error:
            raise problem_of(error) from None

    def _slots(self) -> list[int]:
        try:
            return slots(self._data_dir)
        except OSError as error:
            raise later(f"{error.filename}: {error.strerror}") from None


class HubApi:
    """A part of the API that is answered by the workers of ``hub``."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub


def problem_of(error: ControlError | NotPossible) -> Problem:
    """What a worker said, for the client; where its socket lies is no matter of his."""
    if isinstance(error, NotPossible):
        return Problem(409, str(error))
    text = str(error).partition(": ")[2] or str(error)
    if error.fault in _STATUS:
        return Problem(_STATUS[error.fault], text)
    if error.fault == "failed":
        return Problem(500, text)
    return later(text)
