"""The request for a copy of a shard: over another socket, and what goes wrong on the way."""

import asyncio
import socket
import threading
from pathlib import Path

import msgspec
import pytest

from fastsmtp.control.copying import CopyAsked, CopyService
from fastsmtp.control.server import Refused
from fastsmtp.spool.base import SpoolFailed

NAME = "copy-0123456789abcdef"


class Shard:
    """Says one word, then waits for the other end."""

    def __init__(self, error: str = "") -> None:
        self.error = error
        self.ended = threading.Event()

    def copy(self, sock: socket.socket) -> None:
        try:
            if self.error:
                raise SpoolFailed(self.error)
            sock.sendall(b"word")
            if sock.recv(1) != b".":
                raise SpoolFailed("given up")
        finally:
            self.ended.set()


def listener(tmp_path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(tmp_path / NAME))
    sock.listen()
    sock.settimeout(10)
    return sock


def test_it_ends_when_the_copy_was_taken(tmp_path: Path) -> None:
    async def main() -> None:
        with listener(tmp_path) as server:
            task = asyncio.ensure_future(CopyService(tmp_path, lambda: {3: Shard()}).copy(CopyAsked(3, NAME)))
            await asyncio.sleep(0)
            with server.accept()[0] as ours:
                assert await asyncio.to_thread(ours.recv, 10) == b"word"
                assert not task.done()
                ours.sendall(b".")
                await task

    asyncio.run(main())


@pytest.mark.parametrize(
    ("asked", "listens", "error", "fault"),
    [(4, True, "", "gone"), (3, False, "", "missing"), (3, True, "no room", "impossible")],
)
def test_what_cannot_be(tmp_path: Path, asked: int, listens: bool, error: str, fault: str) -> None:
    async def main() -> None:
        with pytest.raises(Refused) as refused:
            await CopyService(tmp_path, lambda: {3: Shard(error)}).copy(CopyAsked(asked, NAME))
        assert refused.value.fault == fault

    if listens:
        with listener(tmp_path):
            asyncio.run(main())
    else:
        asyncio.run(main())


def test_the_end_of_the_worker_is_the_end_of_the_copy(tmp_path: Path) -> None:
    async def main() -> None:
        shard = Shard()
        with listener(tmp_path) as server:
            task = asyncio.ensure_future(CopyService(tmp_path, lambda: {3: shard}).copy(CopyAsked(3, NAME)))
            await asyncio.sleep(0)
            with server.accept()[0] as ours:
                assert await asyncio.to_thread(ours.recv, 10) == b"word"
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        assert shard.ended.is_set()

    asyncio.run(main())


@pytest.mark.parametrize("name", ["0", "copy-0123456789abcde", "../copy-0123456789abcdef", NAME + "\n"])
def test_only_sockets_for_copies_are_gone_to(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode(CopyAsked(3, name)), type=CopyAsked)
