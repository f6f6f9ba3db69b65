"""Bodies of requests: read within bounds of size and time, and a message kept until a worker has taken it."""

import asyncio
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from msgspec import Struct

from fastsmtp.control.mail import INCOMING, MOST_INLINE
from fastsmtp.web.problem import Problem, later

SMALL = 1 << 20
"""Octets of a body that is read whole without waiting for its turn; also the most of what is no message."""
_MOST_LARGE = 4
_PATIENCE = 10.0
"""Seconds that a large body waits for its turn."""
_ENDS = re.compile(rb"\r\n|\r|\n")

_PIECE = 256 << 10
"""Octets that are written at once."""
_FORGOTTEN = 3600.0
"""Seconds after which a file belongs to nobody: no request lasts so long."""

Pieces = AsyncIterator[bytes]


class Lines:
    """Ends each line of what comes in pieces by CRLF, however it was ended (RFC 5321 §2.3.8)."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """The next piece; a CR at its end is held back, since its LF may be in the next one."""
        piece = self._held + piece
        self._held = b"\r" if piece.endswith(b"\r") else b""
        return _ENDS.sub(b"\r\n", piece.removesuffix(b"\r"))

    def end(self) -> bytes:
        """What was held back."""
        held, self._held = self._held, b""
        return b"\r\n" if held else b""


class Large:
    """Has large bodies that are read whole wait for each other, as they stand in memory."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(_MOST_LARGE)

    @asynccontextmanager
    async def turn(self, length: int | None) -> AsyncIterator[None]:
        """For a body of ``length`` octets, None where that was not said. Raises `Problem`."""
        if length is not None and length <= SMALL:
            yield
            return
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._room.acquire()
        except TimeoutError:
            raise later("too many large requests at once") from None
        try:
            yield
        finally:
            self._room.release()


async def whole(pieces: Pieces, most: int) -> bytes:
    """The body, of ``most`` octets at most. Raises `Problem`."""
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > most:
            raise too_large(most)
    return bytes(body)


def too_large(most: int) -> Problem:
    """The body has more octets than are allowed."""
    return Problem(413, f"the body is larger than the {most:,} octets that are allowed here")


class Mail(Struct):
    """A message: all of it is ``start``, or all in the file ``name`` of `INCOMING`. ``size`` in octets."""

    size: int
    start: bytes = b""
    name: str = ""


class MailBox:
    """Where messages are kept until a worker has taken them, below ``data_dir``. ``now``: seconds since 1970 UTC."""

    def __init__(self, data_dir: Path, now: Callable[[], float]) -> None:
        self._directory = data_dir / INCOMING
        self._now = now

    def open(self) -> None:
        """Make the directory; what a process that died has left there is removed. Raises OSError."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._directory.iterdir():
            with suppress(OSError):
                if path.stat().st_mtime + _FORGOTTEN < self._now():
                    path.unlink()

    @asynccontextmanager
    async def keep(self, first: bytes, pieces: Pieces, most: int) -> AsyncIterator[Mail]:
        """The message that begins with ``first`` and goes on with ``pieces``, for as long as it is needed. Raises
        `Problem`."""
        gathered = bytearray(first)
        mail = Mail(len(first))
        try:
            async for piece in pieces:
                mail.size += len(piece)
                if mail.size > most:
                    raise too_large(most)
                gathered += piece
                if len(gathered) >= _PIECE:
                    await self._store(mail, gathered)
            if not mail.name and len(gathered) <= MOST_INLINE:
                mail.start = bytes(gathered)
            elif gathered:
                await self._store(mail, gathered)
            yield mail
        finally:
            if mail.name:
                with suppress(OSError):
                    self.path(mail).unlink()

    def path(self, mail: Mail) -> Path:
        """Where a message lies that has a name."""
        return self._directory / mail.name

    async def _store(self, mail: Mail, gathered: bytearray) -> None:
        flags = os.O_WRONLY | os.O_APPEND
        if not mail.name:
            mail.name = secrets.token_hex(16)
            flags |= os.O_CREAT | os.O_EXCL
        data = bytes(gathered)
        gathered.clear()
        try:
            await asyncio.to_thread(_append, self.path(mail), flags, data)
        except OSError as error:
            raise later(f"the message cannot be kept: {error.strerror}", 30) from None


def _append(path: Path, flags: int, data: bytes) -> None:
    """In a thread that nobody can interrupt: whoever waits for it may be gone before its end, so the descriptor is
    its own."""
    file = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(file, view) :]
    finally:
        os.close(file)
