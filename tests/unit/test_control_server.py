"""A control socket and who asks it: answers, refusals, limits, and what it leaves behind."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.control import server as module
from fastsmtp.control.client import ControlError, NotAllowed, NotThere, ask
from fastsmtp.control.frame import MOST_REQUEST, VERSION
from fastsmtp.control.place import reach
from fastsmtp.control.server import ControlServer, Refused

V = bytes((VERSION,))
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on one of the two loops."""
    if request.param == "asyncio":
        return asyncio.run
    return pytest.importorskip("uvloop").run


class Site:
    """A server with two verbs, and what it logged."""

    def __init__(self, path: Path, uid: int | None = None) -> None:
        self.path = path
        self.lines: list[str] = []
        peer = None if uid is None else lambda sock: uid
        self.server = ControlServer(path, self.lines.append, peer=peer)
        self.gate = asyncio.Event()
        self.server.register("double", int, self.double)
        self.server.register("wait", type(None), self.wait)

    async def double(self, number: int) -> int:
        if number < 0:
            raise Refused("impossible" if number < -1 else "gone", "not below nothing")
        if number == 13:
            raise ZeroDivisionError("a defect")
        return 2 * number

    async def wait(self, argument: None) -> str:
        await self.gate.wait()
        return "waited"


@asynccontextmanager
async def site(path: Path, uid: int | None = None) -> AsyncIterator[Site]:
    """A running one."""
    made = Site(path, uid)
    await made.server.start()
    try:
        yield made
    finally:
        await made.server.stop()


async def raw(path: Path, data: bytes) -> bytes:
    """What the server says to ``data``."""
    with reach(path) as name:
        reader, writer = await asyncio.open_unix_connection(name)
    writer.write(data)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return answer


def test_a_request_and_its_response(loop: Run, tmp_path: Path) -> None:
    path = tmp_path / "control" / "0"

    async def main() -> None:
        async with site(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
            assert await asyncio.gather(*(ask(path, "double", i, int) for i in range(12))) == [
                2 * i for i in range(12)
            ]
        assert not path.exists()

    loop(main())


def test_a_long_path_is_no_obstacle(loop: Run, tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120) / "control" / "0"
    path.parent.parent.mkdir()

    async def main() -> None:
        async with site(path):
            assert await ask(path, "double", 4, int) == 8

    loop(main())


def test_refusals_are_told_and_a_defect_is_logged(loop: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with site(tmp_path / "0") as made:
            for argument, verb, fault in (
                (-1, "double", "gone"),
                (13, "double", "failed"),
                ("x", "double", "request"),
                (1, "treble", "verb"),
            ):
                with pytest.raises(ControlError) as caught:
                    await ask(made.path, verb, argument, int)
                assert caught.value.fault == fault
                assert "\n" not in str(caught.value)
                assert "Traceback" not in str(caught.value)
            assert len(made.lines) == 1
            assert "ZeroDivisionError: a defect" in made.lines[0]
            assert await ask(made.path, "double", 1, int) == 2

    loop(main())


def test_only_root_and_the_servers_user(loop: Run, tmp_path: Path) -> None:
    async def main() -> None:
        stranger = os.geteuid() + 4711
        async with site(tmp_path / "0", stranger) as made:
            with pytest.raises(NotAllowed):
                await ask(made.path, "double", 1, int)
        async with site(tmp_path / "0", 0) as made:
            assert await ask(made.path, "double", 1, int) == 2

    loop(main())


def test_the_kernel_tells_who_asks() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert module.peer_uid(ours) == os.geteuid()


def test_what_is_no_request(loop: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with site(tmp_path / "0") as made:
            assert b"version" in await raw(made.path, b"GET / HTTP/1.0\r\n\r\n")
            assert b"are allowed" in await raw(made.path, V + (MOST_REQUEST + 1).to_bytes(4, "big"))
            assert b"request" in await raw(made.path, V + b"\x00\x00\x00\x01\xc1")
            assert await raw(made.path, V + b"\x00\x00\x00\x09\x92") == b"", "cut off in the middle"
            assert await raw(made.path, b"") == b""
            assert await ask(made.path, "double", 1, int) == 2
            assert made.lines == []

    loop(main())


def test_who_says_nothing_is_not_waited_for(
    loop: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)

    async def main() -> None:
        async with site(tmp_path / "0") as made:
            with reach(made.path) as name:
                reader, writer = await asyncio.open_unix_connection(name)
            assert await asyncio.wait_for(reader.read(), 20) == b""
            writer.close()

    loop(main())


def test_too_many_are_refused_and_stop_cuts_off(
    loop: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 2)

    async def main() -> None:
        async with site(tmp_path / "0") as made:
            waiting = [asyncio.create_task(ask(made.path, "wait", None, str)) for _ in range(2)]
            while len(made.server._tasks) < 2:
                await asyncio.sleep(0)
            with pytest.raises(ControlError) as refused:
                await ask(made.path, "double", 1, int)
            assert refused.value.fault == "busy"
            await made.server.stop()
            for task in waiting:
                with pytest.raises(ControlError):
                    await task
            with pytest.raises(NotThere):
                await ask(made.path, "double", 1, int)

    loop(main())


def test_what_is_in_hand_may_end_when_there_is_grace(loop: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with site(tmp_path / "0") as made:
            begun = asyncio.create_task(ask(made.path, "wait", None, str))
            while not made.server._tasks:
                await asyncio.sleep(0)
            ending = asyncio.create_task(made.server.stop(20.0))
            while made.path.exists():
                await asyncio.sleep(0)
            with pytest.raises(NotThere):
                await ask(made.path, "double", 1, int)
            made.gate.set()
            assert await begun == "waited"
            await ending

    loop(main())


def test_what_another_process_left_is_replaced_and_not_removed_twice(loop: Run, tmp_path: Path) -> None:
    path = tmp_path / "0"

    async def main() -> None:
        left = socket.socket(socket.AF_UNIX)
        left.bind(str(path))
        left.close()
        with pytest.raises(NotThere):
            await ask(path, "double", 1, int)
        first, second = Site(path), Site(path)
        await first.server.start()
        await second.server.start()
        await first.server.stop()
        assert await ask(path, "double", 1, int) == 2, "the file was the second's by then"
        await second.server.stop()
        assert not path.exists()

    loop(main())


async def found_again(made: Site) -> None:
    """Until it answers, a second of its after the other."""
    while True:
        made.server.tick()
        try:
            assert await ask(made.path, "double", 1, int) == 2
            return
        except ControlError:
            await asyncio.sleep(0.01)


def test_it_listens_again_where_its_file_was_lost(loop: Run, tmp_path: Path) -> None:
    path = tmp_path / "control" / "0"

    async def main() -> None:
        async with site(path) as made:
            path.unlink()
            await found_again(made)
            path.unlink()
            path.parent.rmdir()
            await found_again(made)
            # One that was to follow, and was killed.
            path.unlink()
            with socket.socket(socket.AF_UNIX) as left:
                left.bind(str(path))
            await found_again(made)
            made.server.tick()
        assert not path.exists()

    loop(main())


def test_another_that_lives_keeps_its_place(loop: Run, tmp_path: Path) -> None:
    path = tmp_path / "0"

    async def main() -> None:
        async with site(path) as old:
            async with site(path) as new:
                old.server.tick()
                new.gate.set()
                assert await ask(path, "wait", None, str) == "waited", "the old one's gate is shut"
            await found_again(old)

    loop(main())


def test_what_is_no_socket_is_told_once_and_left(loop: Run, tmp_path: Path) -> None:
    path = tmp_path / "0"

    async def main() -> None:
        async with site(path) as made:
            path.unlink()
            path.mkdir()
            for _ in range(3):
                made.server.tick()
                while made.server._again is not None:
                    await asyncio.sleep(0)
            assert len(made.lines) == 1
            assert f"cannot listen at {path}: " in made.lines[0]
            path.rmdir()
            await found_again(made)

    loop(main())


def test_a_place_that_cannot_be_used(loop: Run, tmp_path: Path) -> None:
    (tmp_path / "control").write_text("")

    async def main() -> None:
        with pytest.raises(OSError, match="control"):
            await ControlServer(tmp_path / "control" / "0", print).start()

    loop(main())
