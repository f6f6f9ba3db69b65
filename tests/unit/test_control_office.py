"""Who is asked: the workers that answer, what is missing, and the spool itself when no server runs."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from fastsmtp.control import office as module
from fastsmtp.control.client import ControlError, NotAllowed, RemoteDesk
from fastsmtp.control.frame import VERSION
from fastsmtp.control.office import NoQueue, office
from fastsmtp.control.place import shards, slots, socket_path
from fastsmtp.control.queue import Change, NotPossible, QueueDesk, QueueFilter
from fastsmtp.control.server import ControlServer
from fastsmtp.control.service import QueueService
from tests.fakes.queue_desk import FakeDesk, row


@asynccontextmanager
async def workers(data_dir: Path, *held: dict[int, FakeDesk]) -> AsyncIterator[list[ControlServer]]:
    """One for each of ``held``, with these shards open."""
    servers = []
    for slot, desks in enumerate(held):
        server = ControlServer(socket_path(data_dir, slot), print)
        QueueService(lambda desks=desks: desks).register(server)
        await server.start()
        servers.append(server)
    try:
        yield servers
    finally:
        for server in servers:
            await server.stop()


@contextmanager
def never() -> Iterator[Mapping[int, QueueDesk]]:
    """Opens no spool."""
    raise AssertionError("a server runs")
    yield {}


def spool(data_dir: Path, *numbers: int) -> Path:
    """A data directory with these shards."""
    for number in numbers:
        (data_dir / "spool" / str(number)).mkdir(parents=True)
    return data_dir


def test_all_requests_go_over_the_socket(tmp_path: Path) -> None:
    spool(tmp_path, 0, 1, 5)
    messages = [row(i) for i in range(7)]

    async def main() -> None:
        async with (
            workers(tmp_path, {0: FakeDesk(messages), 5: FakeDesk([row(9)])}, {1: FakeDesk([])}),
            office(tmp_path, never) as found,
        ):
            assert (sorted(found.desks), found.offline, found.missing) == ([0, 1, 5], False, [])
            desk = found.desks[0]
            page = await desk.find(QueueFilter(recipient="bob@*"), b"", 3)
            assert [one.id for one in page.rows] == [one.id for one in messages[:3]]
            assert page.position is not None
            page = await desk.find(QueueFilter(), page.position, 10)
            assert page.rows == messages[3:]
            assert (await desk.count(QueueFilter(code="4"), b"")).messages == 7
            shown = await desk.show(messages[0].id)
            assert shown is not None
            assert shown.head.startswith(b"Subject: h\xc3\xa9\r\n")
            assert await desk.show("x") is None
            changed = await desk.change(Change(filter=QueueFilter(), action="hold"), b"")
            assert changed.messages == 7
            assert (await desk.sites("", 10)).rows == []

    asyncio.run(main())


def test_a_desk_that_refuses_and_one_that_is_gone(tmp_path: Path) -> None:
    spool(tmp_path, 0)
    desk = FakeDesk([])
    desk.impossible = "not here"
    held = {0: desk}

    async def main() -> None:
        async with workers(tmp_path, held), office(tmp_path, never) as found:
            with pytest.raises(NotPossible, match="not here"):
                await found.desks[0].change(Change(filter=QueueFilter(), action="retry"), b"")
            held.clear()
            with pytest.raises(ControlError) as caught:
                await found.desks[0].count(QueueFilter(), b"")
            assert caught.value.fault == "gone"

    asyncio.run(main())


@pytest.mark.parametrize(
    "filter", [QueueFilter(recipient="x" * 1001), QueueFilter(code="4x"), QueueFilter(ids=("0",) * 1001)]
)
def test_what_is_too_much_or_of_no_form_is_refused(tmp_path: Path, filter: QueueFilter) -> None:
    spool(tmp_path, 0)

    async def main() -> None:
        desk = FakeDesk([])
        async with workers(tmp_path, {0: desk}), office(tmp_path, never) as found:
            with pytest.raises(ControlError) as caught:
                await found.desks[0].count(filter, b"")
            assert caught.value.fault == "request"
            assert desk.asked == []

    asyncio.run(main())


def test_a_shard_that_nobody_has_is_waited_for_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool(tmp_path, 0, 1)

    async def main() -> None:
        held = {0: FakeDesk([])}
        async with workers(tmp_path, held):
            monkeypatch.setattr(module, "SETTLE", 0.0)
            async with office(tmp_path, never) as found:
                assert found.missing == [1]
            monkeypatch.setattr(module, "SETTLE", 60.0)
            waiting = asyncio.create_task(office(tmp_path, never).__aenter__())
            await asyncio.sleep(0)
            held[1] = FakeDesk([])
            assert (await waiting).missing == []

    asyncio.run(main())


def test_sockets_of_the_dead_lead_to_the_spool(tmp_path: Path) -> None:
    spool(tmp_path, 0)
    desks = {0: FakeDesk([row(1)])}
    closed = []

    @contextmanager
    def opened() -> Iterator[Mapping[int, QueueDesk]]:
        yield desks
        closed.append(True)

    async def main() -> None:
        async with workers(tmp_path, {0: FakeDesk([])}):
            os.link(socket_path(tmp_path, 0), tmp_path / "kept")
        os.link(tmp_path / "kept", socket_path(tmp_path, 0))
        assert slots(tmp_path) == [0]
        async with office(tmp_path, opened) as found:
            assert found.offline
            assert found.desks == desks
            assert not closed
        assert closed

    asyncio.run(main())


def test_neither_server_nor_spool(tmp_path: Path) -> None:
    async def main(data_dir: Path) -> None:
        async with office(data_dir, never):
            pass

    with pytest.raises(NoQueue, match="there is no spool"):
        asyncio.run(main(tmp_path / "nowhere"))
    (tmp_path / "control").write_text("")
    with pytest.raises(NoQueue, match="check data_dir"):
        asyncio.run(main(tmp_path))


def test_a_directory_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> list[str]:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", refuse)

    async def main() -> None:
        async with office(tmp_path, never):
            pass

    with pytest.raises(NotAllowed, match="ask as root or as the server's user"):
        asyncio.run(main())


def test_a_server_of_another_version_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool(tmp_path, 0)

    async def main() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1000)
            writer.write(bytes((VERSION + 1, 0, 0, 0, 0)))
            writer.close()

        (tmp_path / "control").mkdir()
        other = await asyncio.start_unix_server(answer, tmp_path / "control" / "0")
        with pytest.raises(ControlError, match=f"version {VERSION + 1} is spoken there, {VERSION} here"):
            async with office(tmp_path, never):
                pass
        other.close()

    asyncio.run(main())


def test_a_worker_that_ends_in_the_middle(tmp_path: Path) -> None:
    async def main() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1000)
            writer.write(bytes((VERSION, 0, 0, 0, 5, 0x93)))
            writer.close()

        other = await asyncio.start_unix_server(answer, tmp_path / "0")
        with pytest.raises(ControlError, match="ended before it answered"):
            await RemoteDesk(tmp_path / "0", 0).show("x")
        other.close()

    asyncio.run(main())


def test_only_numbers_are_places(tmp_path: Path) -> None:
    spool(tmp_path, 10, 2)
    (tmp_path / "spool" / "x").mkdir()
    (tmp_path / "spool" / "²").mkdir()
    assert shards(tmp_path) == [2, 10]
    assert slots(tmp_path) == []
