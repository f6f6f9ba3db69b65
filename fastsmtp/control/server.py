"""A worker's control socket: takes one request a connection, gives one response.

The socket's file belongs to the server's user, mode 0600, and whoever connects is asked for by the kernel besides:
only root and that user are answered. What is read and kept is bounded: `MOST_CONNECTIONS` at once (as many again are
heard, and told to try again), a request of `frame.MOST_REQUEST` octets, `PATIENCE` seconds for it to come and for the
response to be taken.
"""

import asyncio
import os
import socket
import struct
import traceback
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from fastsmtp.control.frame import (
    BUSY,
    HEAD_BYTES,
    MOST_REQUEST,
    MOST_RESPONSE,
    NOT_ALLOWED,
    UNKNOWN,
    Fault,
    FrameError,
    Request,
    Response,
    body_length,
    fault,
    frame,
    packed,
    unpacked,
    unreadable,
)
from fastsmtp.control.place import mark, reach

MOST_CONNECTIONS = 32
MOST_AT_WORK = 4
"""Requests that are worked on at once; others wait."""
PATIENCE = 10.0
_LAST = 0.05
"""Seconds between the removal of the file and the end of listening."""
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED


class Refused(Exception):
    """A handler does not do what was asked: ``fault``, and one line that says why."""

    def __init__(self, fault: Fault, text: str) -> None:
        super().__init__(text)
        self.fault = fault


class ControlServer:
    """Listens at ``path``; ``event`` writes a line into the log. Lives on the loop that runs when `start` is called.

    ``peer`` tells who is at the other end of a socket, as a user id."""

    def __init__(
        self,
        path: Path,
        event: Callable[[str], object],
        *,
        peer: Callable[[socket.socket], int] | None = None,
    ) -> None:
        self._path = path
        self._event = event
        self._peer = peer or peer_uid
        self._handlers: dict[str, tuple[type[Any], Callable[[Any], Awaitable[Any]], bool]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._at_work = asyncio.Semaphore(MOST_AT_WORK)
        self._server: asyncio.AbstractServer | None = None
        self._file: tuple[int, int, int] | None = None
        self._stopped = False
        self._again: asyncio.Task[None] | None = None
        """Listens again."""
        self._trouble = ""
        """Why it could not, as was told."""

    def register(
        self, verb: str, form: type[Any], handler: Callable[[Any], Awaitable[Any]], *, waits: bool = False
    ) -> None:
        """From now on ``handler`` answers ``verb``: it is called on the loop with a value of ``form``, and what it
        returns is sent. It may raise `Refused`. ``waits``: it mostly waits for others, and is none of the
        `MOST_AT_WORK`."""
        self._handlers[verb] = (form, handler, waits)

    async def start(self) -> None:
        """Listen. A file that another process left at this place is replaced. Raises OSError."""
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # The file gets the mode of the socket, so that nobody can connect before it is set.
            os.fchmod(sock.fileno(), 0o600)
            self._path.unlink(missing_ok=True)
            with reach(self._path) as name:
                sock.bind(name)
            self._file = mark(self._path)
            self._server = await asyncio.start_unix_server(self._connected, sock=sock, limit=MOST_REQUEST)
        except BaseException:
            sock.close()
            raise

    def tick(self) -> None:
        """A second has passed: listen again where our file was removed, or is that of a process that has died, such
        as one that should have followed us."""
        if self._again is None and not self._stopped and self._is_lost():
            self._again = asyncio.get_running_loop().create_task(self._listen_again())

    def _is_lost(self) -> bool:
        try:
            if mark(self._path) == self._file:
                return False
            with (
                socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock,
                reach(self._path) as name,
            ):
                sock.connect(name)
            return False
        except BlockingIOError:
            return False
        except OSError:
            return True  # it is not there, or nobody listens

    async def _listen_again(self) -> None:
        trouble, before = "", self._server
        try:
            await self.start()
            if before is not None:
                before.close()
        except OSError as error:
            trouble = error.strerror or type(error).__name__
            if trouble != self._trouble:
                self._event(f"control: cannot listen at {self._path}: {trouble}; it is tried again")
        self._trouble = trouble
        self._again = None

    async def stop(self, grace: float = 0.0) -> None:
        """Nobody is answered any more; what is in hand has ``grace`` seconds to end, then it is cut off. The file
        goes, unless it is another's by now."""
        self._stopped = True
        if self._again is not None:
            await self._again
        try:
            if mark(self._path) == self._file:
                self._path.unlink()
        except OSError:
            pass  # the next start replaces it
        if grace and self._server is not None:
            await asyncio.sleep(_LAST)  # whoever has connected already is answered, too
        if self._server is not None:
            self._server.close()
        if grace and self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer, len(self._tasks)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, others: int) -> None:
        """``others``: how many connections there were when this one came."""
        try:
            response = await self._answer(reader, writer, others)
            if response is not None:
                async with asyncio.timeout(PATIENCE):
                    writer.write(_framed(response))
                    await writer.drain()
                    writer.close()
                    await writer.wait_closed()
        except (OSError, TimeoutError):
            pass  # whoever asked has gone
        finally:
            writer.transport.abort()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, others: int
    ) -> Response | None:
        """None: nothing came that could be answered."""
        if others >= 2 * MOST_CONNECTIONS:
            return BUSY
        if self._peer(writer.get_extra_info("socket")) not in (0, os.geteuid()):
            return NOT_ALLOWED
        try:
            async with asyncio.timeout(PATIENCE):
                length = body_length(await reader.readexactly(HEAD_BYTES), MOST_REQUEST)
                request = unpacked(await reader.readexactly(length), Request)
            if others >= MOST_CONNECTIONS:  # told only now: who is still writing would not hear it
                return BUSY
            form, handler, waits = self._handlers[request.verb]
            argument = unpacked(request.body, form)
        except asyncio.IncompleteReadError:
            return None
        except FrameError as error:
            return unreadable(error)
        except KeyError:
            return UNKNOWN
        return await self._handled(request.verb, handler, argument, waits)

    async def _handled(
        self, verb: str, handler: Callable[[Any], Awaitable[Any]], argument: object, waits: bool
    ) -> Response:
        try:
            async with nullcontext() if waits else self._at_work:
                return Response(packed(await handler(argument)))
        except Refused as refused:
            return fault(refused.fault, str(refused))
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            self._event(
                f"control: {verb}: {type(error).__name__}: {error} ({place.filename}:{place.lineno}); "
                "the request was given up"
            )
            return fault("failed", f"the server met {type(error).__name__}; its log says where")


def peer_uid(sock: socket.socket) -> int:
    """Whose process is at the other end, as the kernel knows it: unix(7)."""
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(data)[1])


def _framed(response: Response) -> bytes:
    data = frame(response)
    if len(data) - HEAD_BYTES > MOST_RESPONSE:
        data = frame(fault("failed", "the response would be too large"))
    return data
