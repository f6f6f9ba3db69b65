"""Asking hosts for a recipient: over which connections, and what each misbehaviour comes to."""

import asyncio
from typing import Any

import pytest

from fastsmtp.smtp.outgoing_values import Outcome
from fastsmtp.transport.smtp.place import Place
from tests.fakes.outbound import World, place, protection, reached, run
from tests.fakes.scripted_peer import Act, ScriptedPeer

WHO = "b@far.test"


async def ask(world: World, where: Place, address: str = WHO) -> tuple[str, Outcome]:
    """Ask, and wait for the outcome. A second one fails the test."""
    future: asyncio.Future[tuple[str, Outcome]] = asyncio.get_running_loop().create_future()
    world.transport.probe(where, address, lambda remote, outcome: future.set_result((remote, outcome)))
    found = await future
    assert world.transport.active == 0
    return found


def asked(peer: ScriptedPeer, count: int = 1, **settings: Any) -> list[tuple[str, Outcome]]:
    """What ``peer`` comes to, asked ``count`` times in turn."""

    async def attempt() -> list[tuple[str, Outcome]]:
        async with World(**settings) as world:
            return [await ask(world, place(peer)) for _ in range(count)]

    return run(attempt())


def test_no_message_is_begun_and_the_connection_is_kept() -> None:
    with ScriptedPeer({"rcpt": ["250 2.1.5 ok", "550 5.1.1 no", "451 4.3.0 later"]}) as peer:
        found = asked(peer, 3)
    assert [(one.status, one.code, one.stage) for _, one in found] == [
        ("relayed", 250, "rcpt"),
        ("failed", 550, "rcpt"),
        ("deferred", 451, "rcpt"),
    ]
    assert {remote for remote, _ in found} == {f"mx1.far.test[127.0.0.1]:{peer.port}"}
    assert peer.verbs() == ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "QUIT"]
    assert peer.commands[1] == "MAIL FROM:<> SIZE=0"
    assert peer.commands[2] == f"RCPT TO:<{WHO}>"
    assert peer.connections == 1
    assert peer.bodies == []


def test_a_message_goes_over_the_connection_of_a_question() -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            await ask(world, place(peer))
            (result,), _ = await world.send(place(peer))
            assert result.status == "relayed"

    with ScriptedPeer() as peer:
        run(attempt(peer))
    assert peer.connections == 1
    assert len(peer.bodies) == 1


@pytest.mark.parametrize(
    ("script", "stage", "code"),
    [
        ({"greeting": "554 no"}, "connect", 554),
        ({"greeting": Act.CLOSE}, "connect", 0),
        ({"greeting": b"\x00\xff garbage\r\n"}, "connect", 0),
        ({"ehlo": "550 no", "helo": "550 no"}, "helo", 550),
        ({"mail": "550 5.7.1 no null sender here"}, "mail", 550),
        ({"mail": "451 later"}, "mail", 451),
        ({"mail": Act.RESET}, "mail", 0),
        ({"rcpt": "421 4.3.2 closing"}, "rcpt", 421),
        ({"rcpt": Act.RESET}, "rcpt", 0),
        ({"rcpt": Act.CLOSE}, "rcpt", 0),
        ({"rcpt": b"nonsense\r\n"}, "rcpt", 0),
        ({"rcpt": "354 go on"}, "rcpt", 0),
        ({"rcpt": Act.FLOOD}, "rcpt", 0),
    ],
)
def test_whatever_a_host_does_there_is_one_outcome(script: dict[str, Any], stage: str, code: int) -> None:
    with ScriptedPeer(script) as peer:
        [(_, outcome)] = asked(peer)
    assert (outcome.stage, outcome.code) == (stage, code)
    assert "DATA" not in peer.verbs()
    if stage != "mail":
        assert outcome.status == "deferred"


def test_an_answer_counts_though_the_host_hangs_up_after_it() -> None:
    with ScriptedPeer({"rcpt": ("550 5.1.1 no", Act.CLOSE)}) as peer:
        [(_, outcome)] = asked(peer)
    assert outcome.code == 550


def test_the_next_host_is_asked_when_the_first_one_is_lost() -> None:
    async def attempt(first: ScriptedPeer, second: ScriptedPeer) -> tuple[str, Outcome]:
        async with World() as world:
            return await ask(world, place(first, second))

    with ScriptedPeer({"rcpt": Act.RESET}) as first, ScriptedPeer({"rcpt": "550 5.1.1 no"}) as second:
        remote, outcome = run(attempt(first, second))
    assert remote.startswith("mx2.far.test")
    assert outcome.code == 550


def test_a_kept_connection_that_died_is_no_answer() -> None:
    async def attempt(peer: ScriptedPeer) -> tuple[str, Outcome]:
        async with World() as world:
            await ask(world, place(peer))
            return await ask(world, place(peer))

    with ScriptedPeer({"rset": Act.RESET}, {}) as peer:
        _, outcome = run(attempt(peer))
    assert outcome.code == 250
    assert peer.connections == 2


def test_a_host_that_bears_our_name_is_not_asked() -> None:
    with ScriptedPeer({"ehlo": "250 OUT.near.test"}) as peer:
        [(_, outcome)] = asked(peer)
    assert (outcome.enhanced, outcome.status) == ("4.4.6", "deferred")
    assert "MAIL" not in peer.verbs()


def test_protection_is_that_of_a_delivery() -> None:
    async def attempt(peer: ScriptedPeer) -> tuple[str, Outcome]:
        async with World() as world:
            return await ask(world, place(peer, needs=protection("encrypt")))

    with ScriptedPeer() as peer:
        _, outcome = run(attempt(peer))
    assert outcome.enhanced == "4.7.4"
    assert "MAIL" not in peer.verbs()


@pytest.mark.parametrize("stage", ["greeting", "rcpt"])
def test_cancelled(stage: str) -> None:
    async def attempt(peer: ScriptedPeer) -> list[Outcome]:
        found: list[Outcome] = []
        async with World() as world:
            probe = world.transport.probe(place(peer), WHO, lambda _, outcome: found.append(outcome))
            await reached(peer, stage)
            probe.cancel("too long")
            probe.cancel("again")
            assert world.transport.active == 0
        return found

    with ScriptedPeer({stage: Act.HANG}) as peer:
        [outcome] = run(attempt(peer))
    assert (outcome.status, outcome.text) == ("deferred", "too long")
    assert outcome.stage == ("rcpt" if stage == "rcpt" else "connect")


def test_the_end_of_the_server_is_an_outcome() -> None:
    async def attempt(peer: ScriptedPeer) -> list[str]:
        found: list[str] = []
        async with World() as world:
            world.transport.probe(place(peer), WHO, lambda _, outcome: found.append(outcome.text))
            await reached(peer, "rcpt")
            await world.transport.stop(0)
            world.transport.probe(place(peer), WHO, lambda _, outcome: found.append(outcome.text))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return found

    with ScriptedPeer({"rcpt": Act.HANG}) as peer:
        assert run(attempt(peer)) == ["the server is stopping"] * 2
