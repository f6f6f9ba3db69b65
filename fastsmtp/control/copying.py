"""The request ``spool.copy`` of a control socket: a copy of a shard, for backups.

The copy itself goes over another socket, which whoever asks has made beside the control sockets: `Copies.send`.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from fastsmtp.control.place import reach
from fastsmtp.control.server import ControlServer, Refused
from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.copying import interrupt

NAME = r"copy-[0-9a-f]{16}"
"""What the other socket is called: nobody's control socket."""
VERB = "spool.copy"


class CopyAsked(Struct, array_like=True):
    """Of ``spool.copy``: the shard, and the name of the socket."""

    shard: int
    name: Annotated[str, Meta(pattern=rf"^{NAME}\Z")]


class Copied(Protocol):
    """An open shard."""

    def copy(self, sock: socket.socket) -> None:
        """See `Copies.send`."""


class CopyService:
    """Answers for the ``shards`` that are open, in ``directory``, where the sockets are."""

    def __init__(self, directory: Path, shards: Callable[[], Mapping[int, Copied]]) -> None:
        self._directory = directory
        self._shards = shards

    def register(self, server: ControlServer) -> None:
        """Let ``server`` answer the verb."""
        server.register(VERB, CopyAsked, self.copy, waits=True)

    async def copy(self, asked: CopyAsked) -> None:
        """Ends when the copy was taken."""
        shard = self._shards().get(asked.shard)
        if shard is None:
            raise Refused("gone", f"shard {asked.shard} is not open here any more; ask again")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            try:
                with reach(self._directory / asked.name) as name:
                    sock.connect(name)
            except OSError as error:
                raise Refused("missing", f"{asked.name}: {error.strerror}") from None
            work = asyncio.ensure_future(asyncio.to_thread(shard.copy, sock))
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                interrupt(sock)
                await asyncio.wait([work])
                raise
            except SpoolError as error:
                raise Refused("impossible", str(error)) from None
