"""All sessions of a worker: how they are brought to an end, over transports in memory and over sockets."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
import uvloop

from fastsmtp.mail import reply
from fastsmtp.session.service import READ_BUFFER
from tests.fakes.service import World
from tests.fakes.transport import FakeTransport

GREETING = b"220 mx.test ESMTP fastsmtp\r\n"
MAIL = b"MAIL FROM:<a@b.test>\r\n"
RCPT = b"RCPT TO:<alice@local.test>\r\n"
OPEN = b"EHLO c.test\r\n" + MAIL + RCPT
MESSAGE = OPEN + b"DATA\r\nx\r\n.\r\n"
GOODBYE = reply.SHUTTING_DOWN.wire


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def run(scenario: Callable[[], Coroutine[Any, Any, None]], loop: str = "asyncio") -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(asyncio.wait_for(scenario(), 20))


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until ``condition`` is true."""
    while not condition():
        await asyncio.sleep(0.001)


def close_when_told(transport: FakeTransport) -> None:
    """A client that closes as soon as it has its last reply."""

    def write_eof() -> None:
        transport.half_closed = True
        transport.protocol.eof_received()
        asyncio.get_running_loop().call_soon(transport.lose)

    transport.write_eof = write_eof  # type: ignore[method-assign]


def test_idle_sessions_are_dismissed_at_once() -> None:
    async def scenario() -> None:
        world = World()
        clients = [world.connect() for _ in range(3)]
        clients[1].feed(b"EHLO x\r\n")
        clients[2].feed(MESSAGE)
        world.spool.commit()
        for client in clients:
            close_when_told(client)
            client.take()
        before = time.monotonic()
        await world.service.drain(60)
        assert time.monotonic() - before < 10
        assert [client.take() for client in clients] == [GOODBYE] * 3
        assert len(world.service.connections) == 0
        assert not any(client.aborted for client in clients)
        world.close()

    run(scenario)


def test_a_transaction_may_be_finished() -> None:
    async def scenario() -> None:
        world = World()
        client = world.connect()
        close_when_told(client)
        client.feed(OPEN)
        client.take()
        draining = asyncio.create_task(world.service.drain(60))
        await until(lambda: world.service.draining)
        client.feed(b"DATA\r\n")
        assert client.take() == reply.SEND_DATA.wire
        client.feed(b"x\r\n.\r\n")
        assert not draining.done()
        world.spool.commit()
        # the promise, and then the goodbye
        assert client.take() == b"250 2.0.0 queued as ID00000001\r\n" + GOODBYE
        await draining
        assert not client.aborted
        world.close()

    run(scenario)


@pytest.mark.parametrize("last", [b"RSET\r\n", b"EHLO x\r\n", b"DATA\r\n\n\r\n.\r\n"])
def test_a_transaction_that_is_given_up_ends_the_session(last: bytes) -> None:
    async def scenario() -> None:
        world = World()
        client = world.connect()
        close_when_told(client)
        client.feed(OPEN)
        draining = asyncio.create_task(world.service.drain(60))
        await until(lambda: world.service.draining)
        client.take()
        client.feed(last)
        assert client.take().endswith(GOODBYE)
        await draining
        world.close()

    run(scenario)


def test_grace_ends() -> None:
    async def scenario() -> None:
        world = World()
        client = world.connect()
        close_when_told(client)
        client.feed(OPEN + b"DATA\r\n" + b"x" * 10_000)
        client.take()
        await world.service.drain(0.05)
        assert client.take() == GOODBYE
        assert world.spool.files[0].aborted
        assert len(world.service.connections) == 0
        world.close()

    run(scenario)


def test_a_client_that_does_not_close_is_dropped() -> None:
    async def scenario() -> None:
        world = World()
        client = world.connect()
        client.take()
        client.abort = lambda: (FakeTransport.abort(client), client.lose())  # type: ignore[method-assign,assignment]
        await world.service.drain(60)
        assert client.take() == GOODBYE
        assert client.aborted
        assert len(world.service.connections) == 0
        world.close()

    run(scenario)


def test_new_connections_are_turned_away() -> None:
    async def scenario() -> None:
        world = World()
        await world.service.drain(0)
        late = world.connect()
        assert late.take() == GOODBYE
        assert late.closing
        assert len(world.service.connections) == 0
        assert world.logged() == ['rejected stage=connect client=192.0.2.1 reply="421 4.3.2 shutting down"']
        world.close()

    run(scenario)


def test_a_banner_still_due_becomes_a_goodbye() -> None:
    async def scenario() -> None:
        world = World(banner_delay=0.01)
        client = world.connect()
        close_when_told(client)
        await world.service.drain(0)
        await asyncio.sleep(0.02)
        assert client.take() == GOODBYE
        world.close()

    run(scenario)


def test_the_memory_of_a_flood_is_bounded_while_draining() -> None:
    """What is pipelined behind a message that waits for the spool stays in the kernel, drained or not."""
    world = World()
    client = world.connect()
    client.feed(MESSAGE)
    world.service.draining = True
    client.feed(b"NOOP\r\n" * 10)
    assert not client.reading
    client.take()
    world.spool.commit()
    assert client.take() == b"250 2.0.0 queued as ID00000001\r\n" + reply.OK.wire * 10 + GOODBYE
    assert client.reading
    world.close()


def test_ticks_reach_every_connection() -> None:
    world = World()
    clients = [world.connect() for _ in range(3)]
    world.seconds(200)
    clients[1].feed(b"NOOP\r\n")
    world.seconds(101)
    assert [client.half_closed for client in clients] == [True, False, True]
    assert len(world.service.connections) == 3
    world.close()


def test_the_settings_reach_the_sessions() -> None:
    world = World(message_size=5000, recipients=7, errors=1)
    client = world.connect()
    client.take()
    client.feed(b"EHLO x\r\n")
    said = client.take()
    assert b"250-SIZE 5000\r\n" in said
    assert b"RCPTMAX=7\r\n" in said
    client.feed(b"FOO\r\nFOO\r\n")
    assert client.take().endswith(reply.TOO_MANY_ERRORS.wire)
    assert len(world.service.buffer) == READ_BUFFER
    world.close()


# --- over sockets ----------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def serving(world: World) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client connected to the service over TCP."""
    running = asyncio.get_running_loop()
    server = await running.create_server(world.service.factory(0), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        server.close()
        await until(lambda: len(world.service.connections) == 0)
        world.close()


@pytest.mark.parametrize("loop", LOOPS)
def test_a_session_over_tcp(loop: str) -> None:
    async def scenario() -> None:
        world = World(post=lambda call: asyncio.get_running_loop().call_soon(call))
        async with serving(world) as (reader, writer):
            assert await reader.readline() == GREETING
            writer.write(MESSAGE + b"QUIT\r\n")
            writer.write_eof()
            said = await reader.read()
            assert said.endswith(b"250 2.0.0 queued as ID00000001\r\n" + reply.BYE.wire)
        assert world.spool.stored[0][1].endswith(b"\r\n\r\nx\r\n"[2:])

    run(scenario, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_replies_come_back_after_a_half_close_over_tcp(loop: str) -> None:
    async def scenario() -> None:
        world = World()
        async with serving(world) as (reader, writer):
            assert await reader.readline() == GREETING
            writer.write(MESSAGE + b"NOOP\r\n")
            writer.write_eof()
            await until(lambda: world.spool.waiting)
            world.spool.commit()
            said = await reader.read()
            assert said.endswith(b"250 2.0.0 queued as ID00000001\r\n" + reply.OK.wire)

    run(scenario, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_that_reads_nothing_over_tcp(loop: str) -> None:
    """Its commands are not read any more when its replies do not get out, and all of them come in the end."""

    async def scenario() -> None:
        world = World()
        running = asyncio.get_running_loop()
        server = await running.create_server(world.service.factory(0), "127.0.0.1", 0)
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await running.sock_connect(client, server.sockets[0].getsockname())
            await until(lambda: world.service.connections)
            [connection] = world.service.connections
            count = 0
            while not connection._paused:
                with contextlib.suppress(BlockingIOError):
                    count += client.send(b"HELP\r\n" * 100)
                await asyncio.sleep(0)
            client.setblocking(False)
            rest = -count % 6
            said = b""
            wanted = len(GREETING) + (count + rest) // 6 * len(reply.HELP_TEXT.wire)
            sent_rest = rest == 0
            while len(said) < wanted:
                said += await running.sock_recv(client, 1 << 16)
                if not sent_rest:
                    await running.sock_sendall(client, b"HELP\r\n"[6 - rest :])
                    sent_rest = True
            assert said == GREETING + reply.HELP_TEXT.wire * ((count + rest) // 6)
        server.close()
        await until(lambda: len(world.service.connections) == 0)
        world.close()

    run(scenario, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_early_talk_over_tcp(loop: str) -> None:
    async def scenario() -> None:
        world = World()
        running = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"EHLO x\r\n")
        await writer.drain()
        accepted, _ = listener.accept()
        with listener:
            # what was sent lies in the socket by now: both ends are this machine's
            accepted.settimeout(10)
            assert accepted.recv(1, socket.MSG_PEEK) == b"E"
            accepted.setblocking(False)
            await running.connect_accepted_socket(world.service.factory(0), accepted)
            assert await reader.read() == reply.EARLY_TALK.wire
            writer.close()
        await until(lambda: len(world.service.connections) == 0)
        world.close()

    run(scenario, loop)
