"""What one worker serves: its own shard, and those it stands in for."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from fastsmtp.clock import SystemClock
from fastsmtp.limits.counter import LimitTable
from fastsmtp.limits.guard import ConnectionGuard
from fastsmtp.limits.pressure import PressureBoard
from fastsmtp.limits.sites import SiteTable
from fastsmtp.process.errors import StartError
from fastsmtp.process.routing import SettingsSource
from fastsmtp.process.services import MailServices
from fastsmtp.process.settings import Settings, default_settings
from fastsmtp.process.shared import Regions
from fastsmtp.process.sockets import Listener
from fastsmtp.queue.local import LocalRunner
from fastsmtp.queue.settings import QueueSettings
from fastsmtp.queue.suspects import Suspects
from fastsmtp.spool.settings import SpoolSettings
from fastsmtp.spool.suspects import SuspectBoard
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.telemetry.metrics_table import MetricTable


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The embedded default in a directory of the test, with a small spool."""
    small = SpoolSettings(map_size=64 << 20, reserve=4 << 20, ahead=1 << 20)
    return msgspec.structs.replace(default_settings(tmp_path), spool=small)


@asynccontextmanager
async def running(settings: Settings, slot: int = 0) -> AsyncIterator[MailServices]:
    """The services of ``slot``, started; stopped at the end as a worker does it."""
    clock = SystemClock()
    services = MailServices(
        slot,
        asyncio.get_running_loop(),
        MailLog(clock, slot=slot, fd=os.open(os.devnull, os.O_WRONLY)),
        row=slot,
        settings=settings,
        source=SettingsSource(None, settings, None),
        guard=ConnectionGuard(2, settings.limits),
        pressure=PressureBoard(2),
        limits=LimitTable((), clock),
        sites=SiteTable(2, 20, 0, clock),
        suspects=Regions(2, SuspectBoard.BYTES),
        remote_suspects=Regions(2, Suspects.BYTES),
        certificates=None,
        metrics=MetricTable(clock.now()),
        clock=clock,
    )
    services.start(crashed=False)
    try:
        yield services
    finally:
        await services.drain(0)
        await asyncio.to_thread(services.stop)


async def say(services: MailServices, settings: Settings) -> None:
    """A client sends a message to alice, which is taken."""
    listener = Listener(settings.listeners[0].endpoint, "smtp", ())
    loop = asyncio.get_running_loop()
    server = await loop.create_server(services.factory(listener), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(
        b"HELO client.example\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<alice@localhost>\r\nDATA\r\n"
    )
    while not (line := await reader.readline()).startswith(b"354"):
        assert line[:3] in (b"220", b"250"), line
    writer.write(b"Subject: hello\r\n\r\nHello!\r\n.\r\nQUIT\r\n")
    assert (await reader.readline()).startswith(b"250 2.0.0 queued as ")
    server.close()
    writer.close()


def test_mail_goes_from_a_socket_into_a_mailbox(settings: Settings, tmp_path: Path) -> None:
    async def talk() -> None:
        async with running(settings) as services:
            await say(services, settings)
            services.tick()

    asyncio.run(asyncio.wait_for(talk(), 30))
    # Delivery ends after the batch in hand; what it had not begun comes with the next start.
    new = tmp_path / "var/mail/localhost/alice/new"

    async def deliver() -> None:
        async with running(settings):
            while not (new.exists() and list(new.iterdir())):
                await asyncio.sleep(0.02)

    asyncio.run(asyncio.wait_for(deliver(), 30))
    (message,) = new.iterdir()
    assert message.read_bytes().endswith(b"Subject: hello\r\n\r\nHello!\r\n")


def test_a_shard_that_cannot_be_delivered_from_is_closed_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file the process may open is open: the worker hears of it, and the shard is free for others."""

    def no_file(runner: LocalRunner, *, crashed: bool = False) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async def stand_in() -> None:
        async with running(settings) as services:
            with monkeypatch.context() as patch:
                patch.setattr(LocalRunner, "start", no_file)
                with pytest.raises(StartError, match=r"cannot deliver from .*/spool/1: Too many open files"):
                    services.adopt(1, crashed=False)
            services.adopt(1, crashed=False)

    asyncio.run(asyncio.wait_for(stand_in(), 30))


def test_a_shard_is_adopted_and_given_back(settings: Settings) -> None:
    async def stand_in() -> None:
        async with running(settings) as services:
            services.adopt(1, crashed=False)
            services.adopt(1, crashed=True)
            with pytest.raises(StartError, match="another process has it") as refused:
                async with running(settings, slot=1):
                    raise AssertionError("two owners of one shard")
            assert refused.value.code == os.EX_IOERR
            await asyncio.to_thread(services.release, 1)
            await asyncio.to_thread(services.release, 1)
            async with running(settings, slot=1):
                pass

    asyncio.run(asyncio.wait_for(stand_in(), 30))


def test_an_adopted_shard_is_removed_only_when_nothing_is_in_it(settings: Settings, tmp_path: Path) -> None:
    held = msgspec.structs.replace(settings, delivery=QueueSettings(hold=True))
    spool = tmp_path / "var/data/spool"

    async def send() -> None:
        async with running(held, slot=1) as services:
            await say(services, settings)

    async def remove(shard: int) -> None:
        async with running(held) as services:
            services.adopt(shard, crashed=False)
            await asyncio.to_thread(services.remove, shard)
            await asyncio.to_thread(services.remove, shard)

    asyncio.run(asyncio.wait_for(send(), 30))
    asyncio.run(asyncio.wait_for(remove(1), 30))
    assert (spool / "1" / "data.mdb").exists()
    asyncio.run(asyncio.wait_for(remove(2), 30))
    assert sorted(path.name for path in spool.iterdir()) == ["0", "1"]
