"""A control socket and whoever means it harm: nothing is kept for long, and the others are answered."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fastsmtp.control import server as module
from fastsmtp.control.client import ask
from fastsmtp.control.frame import HEAD_BYTES, MOST_RESPONSE, VERSION, Request, frame, packed
from fastsmtp.control.place import reach
from fastsmtp.control.server import MOST_CONNECTIONS
from tests.unit.test_control_server import Site, loop, site

__all__ = ["loop"]

Run = Callable[[Coroutine[Any, Any, None]], None]
QUICK = 0.05
"""Seconds instead of those a client has."""


async def connect(path: Path) -> socket.socket:
    """A connection that does what the test does with it."""
    made = socket.socket(socket.AF_UNIX)
    made.setblocking(False)
    with reach(path) as name:
        while True:
            try:
                made.connect(name)
            except BlockingIOError:  # as many wait to be accepted as may
                await asyncio.sleep(0.001)
            else:
                return made


async def ending(sock: socket.socket) -> bytes:
    """What comes until the server ends the connection."""
    got = b""
    running = asyncio.get_running_loop()
    try:
        while piece := await asyncio.wait_for(running.sock_recv(sock, 65536), 20):
            got += piece
    except ConnectionError:
        pass
    sock.close()
    return got


async def answered(made: Site) -> None:
    """An honest request has its answer."""
    assert await ask(made.path, "double", 4, int) == 8


def test_who_connects_without_end_is_told_and_the_others_have_their_turn(loop: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with site(tmp_path / "0") as made:
            held = [await connect(made.path) for _ in range(300)]
            refused = [await ending(sock) for sock in held[2 * MOST_CONNECTIONS :]]
            for sock in held[MOST_CONNECTIONS : 2 * MOST_CONNECTIONS]:  # these may say first what they want
                sock.sendall(frame(Request("double", packed(4))))
                refused.append(await ending(sock))
            assert all(b"too many ask at once" in text for text in refused)
            for sock in held[:MOST_CONNECTIONS]:
                sock.close()
            while made.server._tasks:
                await asyncio.sleep(0.01)
            await answered(made)
            assert made.lines == []

    loop(main())


def test_who_does_not_read_is_left(loop: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with site(tmp_path / "0") as made:
            gate = asyncio.Event()
            asked: list[None] = []
            told: list[None] = []

            async def much(argument: None) -> bytes:
                asked.append(argument)
                await gate.wait()
                told.append(argument)
                return b"x" * (MOST_RESPONSE - 1000)

            made.server.register("much", type(None), much)
            deaf = [await connect(made.path) for _ in range(3)]
            for sock in deaf:
                sock.sendall(frame(Request("much", packed(None))))
            while len(asked) < 3:
                await asyncio.sleep(0.001)
            with monkeypatch.context() as patch:
                patch.setattr(module, "PATIENCE", QUICK)
                gate.set()
                while len(told) < 3:
                    await asyncio.sleep(0)
            await answered(made)
            while made.server._tasks:
                await asyncio.sleep(0.01)
            for sock in deaf:
                assert len(await ending(sock)) < MOST_RESPONSE - 1000
            assert made.lines == []

    loop(main())


def test_a_response_that_is_too_large_is_told(loop: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with site(tmp_path / "0") as made:

            async def much(argument: None) -> bytes:
                return b"x" * MOST_RESPONSE

            made.server.register("much", type(None), much)
            sock = await connect(made.path)
            sock.sendall(frame(Request("much", packed(None))))
            assert b"the response would be too large" in await ending(sock)
            await answered(made)

    loop(main())


@pytest.mark.parametrize("sent", [1, HEAD_BYTES, HEAD_BYTES + 2])
def test_who_stops_in_a_frame_is_left(
    loop: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: int
) -> None:
    async def main() -> None:
        async with site(tmp_path / "0") as made:
            with monkeypatch.context() as patch:
                patch.setattr(module, "PATIENCE", QUICK)
                sock = await connect(made.path)
                sock.sendall(frame(Request("double", packed(4)))[:sent])
                assert await ending(sock) == b""
            await answered(made)

    loop(main())


def test_who_sends_byte_by_byte_has_no_more_time(
    loop: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with site(tmp_path / "0") as made:
            with monkeypatch.context() as patch:
                patch.setattr(module, "PATIENCE", QUICK)
                sock = await connect(made.path)
                sock.sendall(bytes((VERSION,)) + (60_000).to_bytes(4, "big"))
                ended = asyncio.ensure_future(ending(sock))
                while not ended.done():
                    try:
                        sock.send(b"x")
                    except OSError:
                        break
                    await asyncio.sleep(QUICK / 10)
                assert await ended == b""
            await answered(made)

    loop(main())


@pytest.mark.parametrize("seed", range(5))
def test_rubbish_is_answered_or_dropped(loop: Run, tmp_path: Path, seed: int) -> None:
    dice = Random(seed)

    def rubbish() -> bytes:
        body = dice.randbytes(dice.randrange(300))
        kind = dice.randrange(3)
        if kind == 0:
            return body
        if kind == 1:
            return bytes((VERSION,)) + len(body).to_bytes(4, "big") + body
        good = bytearray(frame(Request("double", packed(4))))
        good[dice.randrange(HEAD_BYTES, len(good))] = dice.randrange(256)
        return bytes(good)

    async def main() -> None:
        async with site(tmp_path / "0") as made:
            for _ in range(60):
                sock = await connect(made.path)
                sock.sendall(rubbish())
                sock.shutdown(socket.SHUT_WR)
                await ending(sock)
            await answered(made)
            assert made.lines == [] or all("ZeroDivisionError" in line for line in made.lines)

    loop(main())
