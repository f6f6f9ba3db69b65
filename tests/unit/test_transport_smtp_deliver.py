"""Jobs in, results out: kept connections, transactions, senders, what is tried again, and the end of it all."""

import asyncio
import contextlib
import gc
import os

import pytest

from fastsmtp.mail.envelope import Recipient
from fastsmtp.mail.result import DeliveryResult
from fastsmtp.transport.smtp.connection import FileContent
from fastsmtp.transport.smtp.deliver import Job
from fastsmtp.transport.smtp.verdict import OK
from tests.fakes.outbound import MESSAGE, World, envelope, place, protection, reached, run
from tests.fakes.scripted_peer import Act, ScriptedPeer

STUFFED = MESSAGE.replace(b"\r\n.", b"\r\n..")


def statuses(results: list[DeliveryResult]) -> list[tuple[str, int]]:
    return [(one.status, one.code) for one in sorted(results, key=lambda one: one.recipient)]


# --- kept connections ------------------------------------------------------------------------------------------


def test_one_connection_for_message_after_message() -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            for _ in range(5):
                (result,), site = await world.send(place(peer))
                assert result == DeliveryResult(
                    0, "relayed", 250, "2.0.0", "2.0.0 taken", f"mx1.far.test[127.0.0.1]:{peer.port}", "smtp"
                )
                assert site is OK
            assert len(world.transport.pool) == 1

    with ScriptedPeer() as peer:
        run(attempt(peer))
    assert peer.connections == 1
    assert peer.bodies == [STUFFED] * 5
    assert peer.verbs() == ["EHLO", *["MAIL", "RCPT", "DATA"] * 5, "QUIT"]


def test_messages_at_once_have_a_connection_each() -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            where = place(peer)
            await asyncio.gather(*(world.send(where) for _ in range(4)))
            assert len(world.transport.pool) == 4
            await world.send(place(peer))

    with ScriptedPeer() as peer:
        run(attempt(peer))
    assert peer.connections == 4


def test_uses_and_idle_time_end_a_connection() -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World(uses=2, idle=5.0) as world:
            for _ in range(3):
                await world.send(place(peer))
            await reached(peer, "quit")
            assert peer.connections == 2
            await world.pass_by(4)
            assert len(world.transport.pool) == 1
            await world.pass_by(1)
            assert len(world.transport.pool) == 0
            await reached(peer, "quit", 2)

    with ScriptedPeer() as peer:
        run(attempt(peer))


def test_another_protection_or_account_is_another_connection() -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            await world.send(place(peer))
            await world.send(place(peer, needs=protection("may")))
            await world.send(place(peer, account="smarthost"))
            await world.send(place(peer))

    with ScriptedPeer() as peer:
        run(attempt(peer))
    assert peer.connections == 3


def test_a_connection_that_the_server_closed_is_not_handed_out() -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            await world.send(place(peer))
            while len(world.transport.pool):
                await asyncio.sleep(0.005)
            (result,), _ = await world.send(place(peer))
            assert result.status == "relayed"

    with ScriptedPeer({"body": ("250 2.0.0 taken", Act.CLOSE)}, {}) as peer:
        run(attempt(peer))
    assert peer.connections == 2


@pytest.mark.parametrize("act", [Act.CLOSE, Act.RESET, "421 4.4.2 idle too long"])
def test_a_kept_connection_that_turns_out_dead_costs_nothing(act: object) -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            await world.send(place(peer))
            (result,), site = await world.send(place(peer))
            assert result.status == "relayed"
            assert site is OK

    with ScriptedPeer({"mail": ["250 ok", act]}, {}) as peer:
        run(attempt(peer))
    assert peer.connections == 2
    assert len(peer.bodies) == 2


def test_but_only_once() -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            await world.send(place(peer))
            (result,), site = await world.send(place(peer))
            assert (result.status, result.enhanced) == ("deferred", "4.4.2")
            assert site.kind == "slow-down"

    with ScriptedPeer({"mail": ["250 ok", Act.CLOSE]}, {"mail": Act.CLOSE}) as peer:
        run(attempt(peer))
    assert peer.connections == 2


def test_after_a_refused_message_the_connection_is_still_good() -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            (first,), _ = await world.send(place(peer))
            (second,), _ = await world.send(place(peer))
            assert (first.status, second.status) == ("failed", "relayed")

    with ScriptedPeer({"rcpt": ["550 5.1.1 who?", "250 ok"]}) as peer:
        run(attempt(peer))
    assert peer.connections == 1


# --- transactions ------------------------------------------------------------------------------------------------


def test_each_recipient_has_its_own_result() -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            results, site = await world.send(place(peer), envelope("a@f.test", "b@f.test", "c@f.test"))
            assert statuses(results) == [("relayed", 250), ("failed", 550), ("deferred", 450)]
            assert (site.kind, site.stage, site.code) == ("ok", "recipient", 450)

    with ScriptedPeer({"rcpt": ["250 ok", "550 no", "450 later"]}) as peer:
        run(attempt(peer))
    assert len(peer.bodies) == 1


def test_many_recipients_are_sent_in_several_transactions() -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World(recipients=100) as world:
            results, _ = await world.send(place(peer), envelope(*(f"u{n}@far.test" for n in range(250))))
            assert statuses(results) == [("relayed", 250)] * 250

    with ScriptedPeer() as peer:
        run(attempt(peer))
    assert peer.connections == 1
    assert len(peer.bodies) == 3


@pytest.mark.parametrize("extensions", [["PIPELINING", "LIMITS RCPTMAX=2"], ["LIMITS RCPTMAX=2 MAILMAX=1"]])
def test_the_server_s_own_limits(extensions: list[str]) -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            results, _ = await world.send(place(peer), envelope(*(f"u{n}@far.test" for n in range(5))))
            assert statuses(results) == [("relayed", 250)] * 5

    with ScriptedPeer(extensions=extensions) as peer:
        run(attempt(peer))
    assert peer.connections == (3 if "MAILMAX" in extensions[0] else 1)
    assert len(peer.bodies) == 3


def test_one_too_many_goes_into_the_next_transaction() -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            results, site = await world.send(place(peer), envelope("a@f.test", "b@f.test", "c@f.test"))
            assert statuses(results) == [("relayed", 250)] * 3
            assert site is OK

    full = "452 4.5.3 too many recipients"
    with ScriptedPeer({"rcpt": ["250 ok", full, full, "250 ok", full, "250 ok"]}) as peer:
        run(attempt(peer))
    assert len(peer.bodies) == 3


def test_recipients_with_senders_of_their_own() -> None:
    owner = "list-owner@near.test"
    letter = envelope(
        Recipient("a@far.test", ""),
        Recipient("b@far.test", "", None, owner),
        Recipient("c@far.test", "", None, ""),
        Recipient("d@far.test", "", None, owner),
    )

    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            results, _ = await world.send(place(peer), letter)
            assert statuses(results) == [("relayed", 250)] * 4

    with ScriptedPeer(extensions=["PIPELINING"]) as peer:
        run(attempt(peer))
    assert [line for line in peer.commands if line.startswith(("MAIL", "RCPT"))] == [
        "MAIL FROM:<a@near.test>",
        "RCPT TO:<a@far.test>",
        f"MAIL FROM:<{owner}>",
        "RCPT TO:<b@far.test>",
        "RCPT TO:<d@far.test>",
        "MAIL FROM:<>",
        "RCPT TO:<c@far.test>",
    ]


def test_421_after_some_were_answered_concerns_the_others_only() -> None:
    async def attempt(bad: ScriptedPeer, good: ScriptedPeer) -> None:
        async with World() as world:
            results, site = await world.send(place(bad, good), envelope("a@f.test", "b@f.test", "c@f.test"))
            assert statuses(results) == [("failed", 550), ("relayed", 250), ("relayed", 250)]
            assert site.kind == "ok"
        assert [line for line in good.commands if line.startswith("RCPT")] == [
            "RCPT TO:<b@f.test>",
            "RCPT TO:<c@f.test>",
        ]

    with ScriptedPeer({"rcpt": ["550 no", "421 bye"]}) as bad, ScriptedPeer() as good:
        run(attempt(bad, good))


def test_lmtp_has_an_answer_for_each() -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            letter = envelope("a@f.test", "b@f.test", "c@f.test")
            results, site = await world.send(place(peer, lmtp=True), letter)
            assert statuses(results) == [("delivered", 250), ("deferred", 452), ("failed", 550)]
            assert site.kind == "slow-down"

    with ScriptedPeer({"body": ["250 ok", "452 4.2.2 full", "550 no"]}, lmtp=True) as peer:
        run(attempt(peer))
    assert peer.verbs()[0] == "LHLO"


@pytest.mark.parametrize(
    ("lmtp", "extensions", "status", "final"),
    [
        (False, [], "relayed", False),
        (False, ["DSN"], "delivered", False),
        (True, [], "delivered", True),
        (True, ["DSN"], "delivered", False),
    ],
)
def test_who_is_to_tell_of_a_success(lmtp: bool, extensions: list[str], status: str, final: bool) -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            letter = envelope(Recipient("b@far.test", "", {"NOTIFY": "SUCCESS"}), "c@far.test")
            results, _ = await world.send(place(peer, lmtp=lmtp), letter)
            assert [(one.status, one.final) for one in results] == [(status, final)] * 2

    with ScriptedPeer(lmtp=lmtp, extensions=extensions) as peer:
        run(attempt(peer))
    assert any("NOTIFY=SUCCESS" in line for line in peer.commands) == bool(extensions)


def test_a_server_with_dsn_answers_for_the_rest() -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            letter = envelope(Recipient("b@far.test", "", {"NOTIFY": "FAILURE"}), RET="HDRS", ENVID="x")
            (result,), _ = await world.send(place(peer), letter)
            assert result.status == "delivered"

    with ScriptedPeer(extensions=["DSN"]) as peer:
        run(attempt(peer))
    assert peer.commands[1:3] == [
        "MAIL FROM:<a@near.test> RET=HDRS ENVID=x",
        "RCPT TO:<b@far.test> NOTIFY=FAILURE",
    ]


# --- bodies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extensions", [["PIPELINING"], ["CHUNKING", "PIPELINING"], []])
@pytest.mark.parametrize("lines", [0, 1, 3000])
def test_a_file_arrives_as_it_is(extensions: list[str], lines: int) -> None:
    content = b"Subject: file\r\n\r\n" + b".line of a file\r\n" * lines if lines else b""
    fd = os.memfd_create("message")
    os.write(fd, b"prefix" + content + b"suffix")

    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            for _ in range(2):
                (result,), _ = await world.send(place(peer), content=FileContent(fd, 6, len(content)))
                assert result.status == "relayed"

    with ScriptedPeer(extensions=extensions) as peer:
        run(attempt(peer))
    os.close(fd)
    assert [body.replace(b"\n..", b"\n.") for body in peer.bodies] == [content] * 2


def test_a_file_that_has_shrunk_is_never_sent_as_if_it_were_whole() -> None:
    fd = os.memfd_create("message")
    os.write(fd, b"x" * 70 + b"\r\n")

    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            (result,), _ = await world.send(place(peer), content=FileContent(fd, 0, 100_000))
            assert (result.status, result.enhanced) == ("deferred", "4.3.0")
            assert "shorter than it was" in result.text

    with ScriptedPeer() as peer:
        run(attempt(peer))
    os.close(fd)
    assert peer.bodies == []


def test_a_file_that_cannot_be_read() -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            fd = os.open("/", os.O_RDONLY)
            (result,), _ = await world.send(place(peer), content=FileContent(fd, 0, 100))
            os.close(fd)
            assert (result.status, result.text) == ("deferred", "the message cannot be read: Is a directory")

    with ScriptedPeer() as peer:
        run(attempt(peer))


@pytest.mark.parametrize("filed", [False, True])
def test_a_bare_line_feed_goes_to_no_server(filed: bool) -> None:
    content = b"Subject: x\r\n\r\nbare\nline\r\n"
    fd = os.memfd_create("message")
    os.write(fd, content)

    async def attempt(bad: ScriptedPeer, good: ScriptedPeer) -> None:
        async with World() as world:
            what = FileContent(fd, 0, len(content)) if filed else content
            (result,), _ = await world.send(place(bad, good), content=what)
            assert (result.status, result.enhanced) == ("failed", "5.6.0")

    with ScriptedPeer() as bad, ScriptedPeer() as good:
        run(attempt(bad, good))
    os.close(fd)
    assert bad.bodies == []
    assert good.connections == 0


# --- ends ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["greeting", "mail", "body"])
def test_a_delivery_that_is_cancelled(stage: str) -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            delivery, future = world.begin(place(peer), envelope("a@f.test", "b@f.test"))
            await reached(peer, stage)
            delivery.cancel("not now")
            results, site = await future
            assert {(one.status, one.enhanced, one.text) for one in results} == {
                ("deferred", "4.3.2", "not now")
            }
            assert site is OK
            delivery.cancel("again")
            assert world.transport.active == 0

    with ScriptedPeer({stage: Act.HANG}) as peer:
        run(attempt(peer))


def test_a_delivery_that_is_cancelled_before_it_has_begun() -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            delivery, future = world.begin(place(peer))
            delivery.cancel("not now")
            assert (await future)[0][0].status == "deferred"
            await asyncio.sleep(0.01)

    with ScriptedPeer() as peer:
        run(attempt(peer))
    assert peer.connections == 0


def test_stopping_lets_finish_what_can_and_defers_the_rest() -> None:
    async def attempt(slow: ScriptedPeer, stuck: ScriptedPeer) -> None:
        async with World() as world:
            _, finishes = world.begin(place(slow))
            _, never = world.begin(place(stuck))
            await reached(slow, "body")
            await reached(stuck, "body")
            stopping = asyncio.create_task(world.transport.stop(0.5))
            (result,), _ = await finishes
            assert result.status == "relayed"
            await stopping
            (result,), _ = await never
            assert (result.status, result.text) == ("deferred", "the server is stopping")
            (result,), _ = await world.send(place(slow))
            assert (result.status, result.text) == ("deferred", "the server is stopping")
            assert not world.transport.lines.connections

    with ScriptedPeer() as slow, ScriptedPeer({"body": Act.HANG}) as stuck:
        run(attempt(slow, stuck))


def test_who_is_told_may_begin_the_next_at_once() -> None:
    """Jobs that need nothing of the network are done from within each other: not without end."""

    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            where, left = place(peer), [3000]
            over = asyncio.get_running_loop().create_future()
            await world.send(where)

            def done(*_: object) -> None:
                left[0] -= 1
                if left[0]:
                    world.transport.deliver(Job(envelope("no address"), MESSAGE, (0,), where), done)
                else:
                    over.set_result(None)

            world.transport.deliver(Job(envelope("no address"), MESSAGE, (0,), where), done)
            await over
            assert world.transport.active == 0

    with ScriptedPeer() as peer:
        run(attempt(peer))


def test_a_fault_of_who_is_told_is_logged_and_harms_nobody() -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:

            def done(*_: object) -> None:
                raise ValueError("oh")

            world.transport.deliver(Job(envelope(), MESSAGE, (0,), place(peer)), done)
            while world.transport.active:
                await asyncio.sleep(0.005)
            assert "internal error after a delivery of ID00000001: ValueError('oh')" in world.logged()
            assert (await world.send(place(peer)))[1] is OK

    with ScriptedPeer() as peer:
        run(attempt(peer))
    assert peer.connections == 1


def test_a_fault_of_ours_is_logged_and_the_message_deferred() -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            broken = envelope(Recipient(5, ""))  # type: ignore[arg-type]
            (result,), _ = await world.send(place(peer), broken)
            assert (result.status, result.diagnostic) == ("deferred", "x-fastsmtp")
            assert "internal error" in result.text
            assert "internal error in a session with mx1.far.test[127.0.0.1]:" in world.logged()
            assert world.transport.active == 0
            assert (await world.send(place(peer)))[0][0].status == "relayed"

    with ScriptedPeer() as peer:
        run(attempt(peer))


def test_nothing_is_left_open() -> None:
    def descriptors() -> int:
        gc.collect()  # what other tests left open is not to close in mid-count
        return len(os.listdir("/proc/self/fd"))

    scripts = [{}, {"greeting": "421 no"}, {"mail": Act.CLOSE}, {"body": "421 no"}, {"greeting": Act.HANG}]

    async def attempt(peers: list[ScriptedPeer]) -> None:
        async with World() as world:
            sent = [world.begin(place(*peers[number:]))[1] for number in range(len(peers)) for _ in range(3)]
            await reached(peers[-1], "greeting", 3)
            await world.transport.stop(0.2)
            results = [(await future)[0][0].status for future in sent]
            assert set(results) == {"relayed", "deferred"}

    before = descriptors()
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(ScriptedPeer(script)) for script in scripts]
        run(attempt(peers))
    assert descriptors() == before
