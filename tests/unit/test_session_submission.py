"""A message that no connection brings: the questions are those that a session asks."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

from fastsmtp.accounts.base import Identity
from fastsmtp.limits.settings import LimitSettings
from fastsmtp.mail.reply import MAILBOX_FULL, MAILBOX_OVER_QUOTA, MAILBOX_UNKNOWN, Reply
from fastsmtp.routing.addresses import parse_address
from fastsmtp.routing.route import LocalRoute
from fastsmtp.session.listener import Listener
from fastsmtp.session.listener_settings import ListenerSettings
from fastsmtp.session.settings import SessionSettings
from fastsmtp.session.submission import Outcome, Submission, Submitter
from fastsmtp.spool.base import SpoolError
from tests.fakes.service import World
from tests.fakes.verifier import FakeVerifier

BODY = b"Subject: x\r\n\r\nhello\r\n"
LIMITS = LimitSettings(message_size=100_000, recipients=5)
ALICE = Submitter(identity=Identity("alice@local.test"), ip="192.0.2.7", carrier="HTTP")
SHOP = Submitter(identity=Identity("shop"), ip="192.0.2.7", carrier="HTTPS", senders=("@shop.test",))


@pytest.fixture
def worlds() -> Iterator[Any]:
    made: list[World] = []

    def make(**options: Any) -> World:
        made.append(World(post=lambda done: asyncio.get_running_loop().call_soon(done), **options))
        return made[-1]

    yield make
    for world in made:
        world.close()


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


def submission(world: World, by: Submitter = ALICE) -> Submission:
    listener = Listener(
        ListenerSettings(address="127.0.0.1:0", protocol="submission"),
        SessionSettings(hostname="mx.test", limits=LIMITS),
        clock=world.clock,
        certificates=None,
        logins=None,
    )
    return Submission(world.service.context, listener, LIMITS, by)


async def deliver(
    world: World,
    by: Submitter = ALICE,
    *,
    sender: str = "alice@local.test",
    to: Sequence[str] = ("x@far.test",),
    body: Sequence[bytes] = (BODY,),
    **options: Any,
) -> Outcome:
    size = sum(map(len, body))
    return await submission(world, by).deliver(
        parse_address(sender), sender, [parse_address(one) for one in to], {}, size, pieces(*body), **options
    )


def test_it_is_stored_and_told_as_any_other(worlds: Any) -> None:
    world = worlds()
    named: list[Outcome] = []

    async def told(outcome: Outcome) -> None:
        assert world.spool.stored == []
        named.append(outcome)

    async def main() -> Outcome:
        return await deliver(
            world, to=["bob@local.test", "nobody@local.test", "x@far.test", "x@far.test"], named=told
        )

    outcome = asyncio.run(main())
    assert named == [outcome]
    assert outcome.reply.positive
    assert [one.code for one in outcome.recipients] == [250, 550, 250, 250]
    ((envelope, content),) = world.spool.stored
    assert (outcome.id, envelope.protocol, envelope.client_ip) == (envelope.id, "HTTP", "192.0.2.7")
    assert [one.address for one in envelope.recipients] == ["bob@local.test", "x@far.test"]
    assert content.endswith(BODY)
    assert b"\r\nReceived: from [192.0.2.7] ([192.0.2.7])\r\n" in content
    assert b"Message-ID: <" in content
    assert any(line.startswith("received id=") and "with=HTTP" in line for line in world.logged())


def test_who_may_send_as_whom(worlds: Any) -> None:
    async def main(by: Submitter, sender: str) -> int:
        return (await deliver(worlds(), by, sender=sender)).reply.code

    assert asyncio.run(main(ALICE, "alice@local.test")) == 250
    assert asyncio.run(main(ALICE, "bob@local.test")) == 553
    assert asyncio.run(main(SHOP, "news@shop.test")) == 250
    assert asyncio.run(main(SHOP, "alice@local.test")) == 553
    assert asyncio.run(main(Submitter(**{**_fields(SHOP), "senders": ("*",)}), "alice@local.test")) == 250
    assert asyncio.run(main(Submitter(**{**_fields(SHOP), "senders": ()}), "news@shop.test")) == 553


def _fields(by: Submitter) -> dict[str, Any]:
    return {name: getattr(by, name) for name in by.__struct_fields__}


def test_bounds(worlds: Any) -> None:
    async def main(**options: Any) -> int:
        world = worlds()
        code = (await deliver(world, **options)).reply.code
        assert world.spool.stored == []
        return code

    assert asyncio.run(main(body=[b"x" * 100_001])) == 552
    assert asyncio.run(main(to=[f"x{n}@far.test" for n in range(6)])) == 452
    assert asyncio.run(main(to=["nobody@local.test"])) == MAILBOX_UNKNOWN.code
    assert asyncio.run(main(to=["nobody@local.test", "none@local.test"])) == 554


def test_no_next_hop_is_asked_for_the_recipients_of_users(worlds: Any) -> None:
    verifier = FakeVerifier()
    world = worlds(verifier=verifier)
    assert asyncio.run(deliver(world, to=["v@corp.test"])).reply.positive
    assert verifier.asked == []


def test_a_large_body_waits_for_the_disk(worlds: Any) -> None:
    async def main() -> None:
        world = worlds()
        world.spool.room = 3000
        task = asyncio.create_task(deliver(world, body=[b"x: y\r\n\r\n", *[b"z" * 1000 + b"\r\n"] * 9]))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not task.done()
        (file,) = world.spool.files
        for _ in range(20):
            file.drain()
            await asyncio.sleep(0)
        assert (await task).reply.positive
        assert file.data.endswith(b"z" * 1000 + b"\r\n")

    asyncio.run(main())


def test_nothing_is_left_of_what_was_broken_off(worlds: Any) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 5000
        raise OSError("gone")

    async def main() -> None:
        world = worlds()
        with pytest.raises(OSError, match="gone"):
            await submission(world).deliver(
                parse_address("alice@local.test"),
                "alice@local.test",
                [parse_address("x@far.test")],
                {},
                10_000,
                broken(),
            )
        assert [file.aborted for file in world.spool.files] == [True]
        world.spool.trouble = SpoolError("broken")
        assert (await deliver(world)).reply.code == 451
        assert world.spool.stored == []

    asyncio.run(main())


@pytest.mark.parametrize("refusal", [MAILBOX_FULL, MAILBOX_OVER_QUOTA])
def test_nobody_waits_and_a_full_mailbox_has_it_wait_in_the_queue(worlds: Any, refusal: Reply) -> None:
    world = worlds(aliases={"boss@local.test": ("bob@local.test",)})
    world.names.quotas = {"bob@local.test": 1000}
    world.quotas.full = {"bob@local.test": refusal}
    drop = Submitter(identity=Identity("alice@local.test"), ip="", carrier="local", waits=False)

    async def main(to: str) -> Outcome:
        return await deliver(world, drop, to=["alice@local.test", to])

    for to in ("bob+tag@local.test", "boss@local.test"):
        outcome = asyncio.run(main(to))
        assert outcome.reply.positive
        envelope, _ = world.spool.stored[-1]
        mine, his = envelope.recipients
        assert mine.mailbox == "alice@local.test"
        assert (world.tables.place(*his.address.split("@")), his.mailbox) == (
            LocalRoute("bob@local.test", 1000),
            "",
        ), "its turn comes in the queue, for that mailbox"

    async def waited_for() -> Outcome:
        return await deliver(world, to=["bob@local.test"])

    assert asyncio.run(waited_for()).reply == refusal, "whoever waits is told"
