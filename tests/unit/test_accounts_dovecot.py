"""Dovecot's authentication protocol as text: what is asked, and what each answer comes to."""

import asyncio
import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.accounts.base import Identity, Refused, Unavailable
from fastsmtp.accounts.dovecot import DovecotAuthenticator
from tests.fakes.clock import FakeClock

HELLO = b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t7\nCUID\t1\nCOOKIE\tc0\nDONE\n"
ALICE = Identity("alice@example.org")
TALK = VERSION = b"VERSION\t1\t2\nCPID\t%d\n" % os.getpid()


class Wire(asyncio.WriteTransport):
    def __init__(self) -> None:
        self.written = b""
        self.aborted = False

    def write(self, data: Any) -> None:
        self.written += data

    def abort(self) -> None:
        self.aborted = True


class Loop:
    """A loop as far as a client asks it to connect."""

    def __init__(self) -> None:
        self.connecting = 0

    def create_task(self, coroutine: Any) -> object:
        coroutine.close()
        self.connecting += 1
        return self

    def call_soon_threadsafe(self, work: Callable[[], None]) -> None:
        work()


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.loop = Loop()
        self.told: list[Any] = []
        self.client = DovecotAuthenticator("/x", "example.org", 3, self.loop, self.clock)  # type: ignore[arg-type]
        self.wire = Wire()

    def connect(self) -> None:
        self.wire = Wire()
        self.client.connection_made(self.wire)

    def ask(self, login: str = "Alice@example.org", password: bytes = b"secret") -> Any:
        return self.client.verify(login, password, self.told.append)


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.connect()
    bench.client.data_received(HELLO)
    return bench


def asked(number: int, login: str = "alice@example.org", password: bytes = b"secret") -> bytes:
    response = base64.b64encode(b"\0" + login.encode() + b"\0" + password)
    return b"AUTH\t%d\tPLAIN\tservice=smtp\tsecured\tresp=%b\n" % (number, response)


def test_the_right_password(bench: Bench) -> None:
    assert bench.ask() is None
    assert bench.wire.written == TALK + asked(1)
    bench.client.data_received(b"OK\t1\tuser=alice@example.org\tsecret=hidden\n")
    assert bench.told == [ALICE]


def test_what_is_asked_before_the_greeting_waits_for_it() -> None:
    bench = Bench()
    assert [bench.ask(), bench.ask("bob")] == [None, None]
    assert bench.loop.connecting == 1
    bench.connect()
    assert bench.wire.written == TALK
    for at in range(len(HELLO)):
        bench.client.data_received(HELLO[at : at + 1])
    assert bench.wire.written == TALK + asked(1) + asked(2, "bob@example.org")


def test_answers_in_any_order(bench: Bench) -> None:
    for login in ("alice", "bob"):
        bench.ask(login)
    bench.client.data_received(b"FAIL\t2\tuser=bob@example.org\nOK\t1\tuser=alice@example.org\n")
    assert isinstance(bench.told[0], Refused)
    assert bench.told[1] == ALICE


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (b"FAIL\t1\tuser=alice@example.org", Refused, "refuses"),
        (b"FAIL\t1\tuser=a\treason=x\tauthz", Refused, "refuses"),
        (b"OK\t1\tuser=alice@example.org\tnologin\treason=x", Refused, "disabled"),
        (b"FAIL\t1\tuser=a\tuser_disabled", Refused, "disabled"),
        (b"FAIL\t1\tuser=a\tcode=user_disabled", Refused, "disabled"),
        (b"FAIL\t1\tuser=a\ttemp", Unavailable, "log"),
        (b"FAIL\t1\tuser=a\tcode=temp_fail", Unavailable, "log"),
        (b"FAIL\t1", Refused, "refuses"),
        (b"CONT\t1\tcHc=", Unavailable, "more"),
        (b"OK\t1", Unavailable, "no user"),
        (b"OK\t1\tuser=\xff", Unavailable, "no user"),
        (b"OK\t1\tuser=Alice", Identity, ""),
    ],
)
def test_other_answers(bench: Bench, answer: bytes, kind: type, reason: str) -> None:
    bench.ask()
    bench.client.data_received(answer + b"\n")
    [told] = bench.told
    assert isinstance(told, kind)
    assert reason in getattr(told, "reason", "")


def test_what_was_not_asked_for_is_nothing(bench: Bench) -> None:
    bench.ask()
    bench.client.data_received(b"OK\t9\tuser=a\nOK\nOK\tx\nNOTFOUND\t1\n\n\t\nFAIL\t99\n")
    assert bench.told == []


@pytest.mark.parametrize("password", [b"", b"a\0b", b"x" * 1025, b"x" * (1 << 20)])
def test_what_is_not_asked(bench: Bench, password: bytes) -> None:
    assert isinstance(bench.ask(password=password), Refused)
    assert isinstance(bench.ask("a\0b"), Refused)
    assert bench.wire.written == TALK


def test_fields_cannot_be_put_in_by_a_client(bench: Bench) -> None:
    bench.ask(password=b"x\tnologin\nAUTH\t5\tPLAIN")
    assert bench.wire.written[len(TALK) :].count(b"\n") == 1


def test_not_more_than_may_wait(bench: Bench) -> None:
    assert [bench.ask() for _ in range(3)] == [None] * 3
    assert isinstance(bench.ask(), Unavailable)


def test_a_connection_that_breaks_leaves_nobody_waiting(bench: Bench) -> None:
    bench.ask()
    bench.client.connection_lost(None)
    assert bench.told == [Unavailable("Dovecot has closed the connection")]
    assert bench.ask() is None
    assert bench.loop.connecting == 1
    bench.connect()
    bench.client.data_received(HELLO)
    assert bench.wire.written == TALK + asked(2)


def test_no_answer(bench: Bench) -> None:
    bench.ask()
    bench.clock.pass_by(29)
    bench.client.tick()
    assert bench.told == []
    bench.clock.pass_by(2)
    bench.client.tick()
    assert bench.told == [Unavailable("Dovecot does not answer")]


@pytest.mark.parametrize(
    "said",
    [b"VERSION\t2\t0\n", HELLO.replace(b"PLAIN", b"CRAM-MD5"), b"x" * 70_000],
    ids=["version", "mechanisms", "endless"],
)
def test_somebody_else_on_the_socket(said: bytes) -> None:
    bench = Bench()
    bench.ask()
    bench.connect()
    bench.client.data_received(said)
    assert isinstance(bench.told[0], Unavailable)
    assert bench.wire.aborted


def test_stopped(bench: Bench) -> None:
    bench.client.stop()
    assert bench.wire.aborted


def test_over_a_socket(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HELLO)
        while line := await reader.readline():
            if line.startswith(b"AUTH\t"):
                number = line.split(b"\t")[1]
                writer.write(b"OK\t%b\tuser=alice@example.org\n" % number)
        writer.close()

    async def run() -> None:
        path = str(tmp_path / "s")
        server = await asyncio.start_unix_server(serve, path)
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Any] = loop.create_future()
        client = DovecotAuthenticator(path, "example.org", 3, loop, FakeClock())
        assert client.verify("alice", b"secret", told.set_result) is None
        assert await told == ALICE
        client.stop()
        server.close()
        nobody: asyncio.Future[Any] = loop.create_future()
        other = DovecotAuthenticator(str(tmp_path / "no"), "example.org", 3, loop, FakeClock())
        assert other.verify("alice", b"secret", nobody.set_result) is None
        found = await nobody
        assert isinstance(found, Unavailable)
        assert "No such file" in found.reason

    asyncio.run(asyncio.wait_for(run(), 30))
