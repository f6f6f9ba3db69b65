"""Asks workers by their control sockets."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from fastsmtp.control.frame import (
    HEAD_BYTES,
    MOST_RESPONSE,
    Fault,
    FrameError,
    Request,
    Response,
    body_length,
    frame,
    packed,
    unpacked,
)
from fastsmtp.control.place import reach, socket_path
from fastsmtp.control.queue import (
    Change,
    Changed,
    Counted,
    NotPossible,
    QueueFilter,
    QueuePage,
    Shown,
    SitePage,
    TlsPage,
)
from fastsmtp.control.service import Count, Do, Find, Show, Sites

PATIENCE = 60.0
"""Seconds until a response is given up."""
_CONNECT = 5.0

T = TypeVar("T")


class ControlError(Exception):
    """A worker did not do what was asked; one line. ``fault`` is the worker's, None when it gave no answer."""

    def __init__(self, text: str, fault: Fault | None = None) -> None:
        super().__init__(text)
        self.fault = fault


class NotThere(ControlError):
    """Nobody listens at a socket."""


class NotAllowed(ControlError):
    """We may not connect, or are not answered."""


async def ask(path: Path, verb: str, argument: object, form: Any, *, patience: float = PATIENCE) -> Any:
    """The response of the worker whose socket is ``path``, as a value of ``form``. Raises `ControlError`."""
    try:
        async with asyncio.timeout(_CONNECT):
            with reach(path) as name:
                reader, writer = await asyncio.open_unix_connection(name)
    except PermissionError:
        raise NotAllowed(f"{path}: permission denied; ask as root or as the server's user") from None
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotThere(f"{path}: no worker listens there") from None
    except (OSError, TimeoutError) as error:
        raise ControlError(f"{path}: cannot connect: {_words(error)}") from None
    try:
        async with asyncio.timeout(patience):
            writer.write(frame(Request(verb, packed(argument))))
            await writer.drain()
            length = body_length(await reader.readexactly(HEAD_BYTES), MOST_RESPONSE)
            response = unpacked(await reader.readexactly(length), Response)
    except asyncio.IncompleteReadError:
        raise ControlError(f"{path}: the worker ended before it answered") from None
    except (OSError, TimeoutError) as error:
        raise ControlError(f"{path}: no answer: {_words(error)}") from None
    except FrameError as error:
        raise ControlError(f"{path}: {error}", "version" if error.version else None) from None
    finally:
        writer.transport.abort()
    if response.fault == "permission":
        raise NotAllowed(f"{path}: {response.text}", "permission")
    if response.fault == "impossible":
        raise NotPossible(response.text)
    if response.fault is not None:
        raise ControlError(f"{path}: {response.text}", response.fault)
    try:
        return unpacked(response.body, form)
    except FrameError as error:
        raise ControlError(f"{path}: {error}") from None


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


class RemoteDesk:
    """The `QueueDesk` of a shard that a worker has open. Each call may raise `ControlError`."""

    def __init__(self, path: Path, shard: int) -> None:
        self._path = path
        self._shard = shard

    async def find(self, filter: QueueFilter, position: bytes, limit: int) -> QueuePage:
        """See `QueueDesk.find`."""
        return await self._ask("queue.find", Find(self._shard, filter, position, limit), QueuePage)

    async def count(self, filter: QueueFilter, position: bytes) -> Counted:
        """See `QueueDesk.count`."""
        return await self._ask("queue.count", Count(self._shard, filter, position), Counted)

    async def show(self, queue_id: str) -> Shown | None:
        """See `QueueDesk.show`."""
        found: Shown | None = await ask(self._path, "queue.show", Show(self._shard, queue_id), Shown | None)
        return found

    async def change(self, change: Change, position: bytes) -> Changed:
        """See `QueueDesk.change`."""
        return await self._ask("queue.change", Do(self._shard, change, position), Changed)

    async def sites(self, position: str, limit: int) -> SitePage:
        """See `QueueDesk.sites`."""
        return await self._ask("queue.sites", Sites(self._shard, position, limit), SitePage)

    async def tls(self, position: str, limit: int) -> TlsPage:
        """See `QueueDesk.tls`."""
        return await self._ask("queue.tls", Sites(self._shard, position, limit), TlsPage)

    async def _ask(self, verb: str, argument: object, form: type[T]) -> T:
        answer: T = await ask(self._path, verb, argument, form)
        return answer


async def shards_of(data_dir: Path, slots: Sequence[int]) -> tuple[dict[int, RemoteDesk], list[ControlError]]:
    """The desks of all shards that the workers of ``slots`` have open, by number, and what kept others from
    answering. Raises `NotAllowed`."""
    paths = [socket_path(data_dir, slot) for slot in slots]
    answers = await asyncio.gather(
        *(ask(path, "queue.shards", None, list[int]) for path in paths), return_exceptions=True
    )
    desks: dict[int, RemoteDesk] = {}
    problems = []
    for path, answer in zip(paths, answers, strict=True):
        if isinstance(answer, list):
            desks.update({shard: RemoteDesk(path, shard) for shard in answer})
        elif isinstance(answer, ControlError) and not isinstance(answer, NotAllowed):
            problems.append(answer)
        else:
            raise answer
    return desks, problems
