"""Mail that comes in by a worker's control socket, at a session with everything real but spool and accounts."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fastsmtp.control.mail import INCOMING, LoginAnswer, LoginAsked, Said, Submit, Submitted
from fastsmtp.control.server import Refused
from fastsmtp.process.mail_desk import WorkerMailDesk, make_mail_desk
from fastsmtp.process.settings import default_settings
from fastsmtp.session.auth import Logins
from fastsmtp.session.auth_settings import AuthSettings
from fastsmtp.web.replay import KEYS
from tests.fakes.accounts import FakeAuthenticator
from tests.fakes.logins import FakePenalties
from tests.fakes.service import World

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"


class Bench:
    """A desk, its ``world``, and the ``events`` that it told."""

    def __init__(self, directory: Path) -> None:
        loop = asyncio.get_running_loop()
        self.world = World(post=loop.call_soon)
        self.events: list[str] = []
        accounts = FakeAuthenticator(
            {"alice@local.test": "secret"}, senders={"alice@local.test": ("a@b.test",)}
        )
        logins = Logins(
            AuthSettings(),
            accounts,
            None,
            log=self.world.log,
            later=lambda delay, call: loop.call_soon(call),
            penalties=FakePenalties(),
        )
        context = self.world.service.context
        settings = default_settings(directory)
        self.data_dir = settings.data_dir
        self.desk: WorkerMailDesk = make_mail_desk(
            settings, context, logins, self.world.clock, self.events.append
        )

    async def submit(self, **changes: Any) -> Submitted:
        """Bring `MESSAGE` in, as a token that may send as anybody of shop.test."""
        fields: dict[str, Any] = {
            "ip": "127.0.0.1",
            "carrier": "HTTP",
            "login": "shop",
            "login_senders": (),
            "senders": ("@shop.test",),
            "sender": "a@shop.test",
            "recipients": ("bob@local.test",),
            "start": MESSAGE,
            "size": len(MESSAGE),
        }
        return await self.desk.submit(Submit(**(fields | changes)))


def run(tmp_path: Path, work: Callable[[Bench], Awaitable[None]]) -> None:
    async def main() -> None:
        bench = Bench(tmp_path)
        try:
            await work(bench)
        finally:
            bench.world.close()

    asyncio.run(asyncio.wait_for(main(), 30))


def test_logins(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        async def login(ip: str, encrypted: bool, password: str) -> LoginAnswer:
            return await bench.desk.login(LoginAsked(ip, encrypted, "alice@local.test", password))

        good = await login("192.0.2.1", True, "secret")
        assert (good.reply.code, good.login, good.senders) == (235, "alice@local.test", ("a@b.test",))
        wrong = await login("192.0.2.1", True, "other")
        assert (wrong.reply.code, wrong.login) == (535, "")
        # In clear only from this machine.
        assert (await login("192.0.2.1", False, "secret")).reply.code == 538
        assert (await login("127.0.0.1", False, "secret")).reply.code == 235

    run(tmp_path, work)


def test_a_message_is_stored_under_the_id_that_is_told(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        (bench.data_dir / KEYS).mkdir(parents=True)
        told = await bench.submit(record="0" * 64)
        ((envelope, whole),) = bench.world.spool.stored
        assert (told.reply.code, told.id) == (250, envelope.id)
        assert [one.code for one in told.recipients] == [250]
        assert whole.endswith(MESSAGE)
        (record,) = (bench.data_dir / KEYS).iterdir()
        assert msgspec.msgpack.decode(record.read_bytes(), type=Submitted) == told

    run(tmp_path, work)


def test_the_body_goes_on_in_the_file(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        (bench.data_dir / INCOMING).mkdir(parents=True)
        name = "0" * 32
        (bench.data_dir / INCOMING / name).write_bytes(MESSAGE[8:])
        assert (await bench.submit(start=MESSAGE[:8], file=name)).reply.code == 250
        assert bench.world.spool.stored[0][1].endswith(MESSAGE)
        for size in (len(MESSAGE) - 1, len(MESSAGE) + 1):
            with pytest.raises(Refused, match="another size"):
                await bench.submit(start=MESSAGE[:8], file=name, size=size)
        gone = await bench.submit(start=b"", file="1" * 32)
        assert gone.reply.code == 451
        (event,) = bench.events
        assert event.endswith(f"{'1' * 32}: No such file or directory; nothing came of it")
        assert len(bench.world.spool.stored) == 1

    run(tmp_path, work)


def test_addresses_are_looked_at(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        assert (await bench.submit(sender="a b")).reply == Said(501, "5.1.7", "sender address is malformed")
        bad = await bench.submit(recipients=("bob@local.test", "y"))
        assert bad.reply == Said(501, "5.1.3", "recipient address is malformed")
        assert (await bench.submit(sender="a@other.test")).reply.code == 553
        assert bench.world.spool.stored == []

    run(tmp_path, work)
