"""A sink's session over a transport in memory: what is swallowed, refused, delayed and cut."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fastsmtp.loadgen.sinkplan import STAGES, SinkPlan
from fastsmtp.loadgen.swallow import Sink, SinkSession

HELLO = b"EHLO a.example\r\n"
MAIL = b"MAIL FROM:<a@example.org>\r\n"
RCPT = b"RCPT TO:<b@example.org>\r\n"
DATA = b"DATA\r\n"
BODY = b"Subject: x\r\n\r\n..dot\r\n.\r\n"
QUIT = b"QUIT\r\n"
LINES = {"helo": HELLO, "mail": MAIL, "rcpt": RCPT, "data": DATA, "body": BODY, "quit": QUIT}


class Timers:
    """The one method of a loop that a session needs; time passes when told."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = []

    def call_later(self, delay: float, callback: Callable[..., None], *args: Any) -> "Timers":
        self.waiting.append((delay, callback, args))
        return self

    def cancel(self) -> None:
        self.waiting.clear()

    def fire(self) -> float:
        """Let the first timer ring; how long it waited."""
        delay, callback, args = self.waiting.pop(0)
        callback(*args)
        return delay


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = self.aborted = self.paused = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Client:
    """One session of a sink with ``plan``."""

    def __init__(self, **plan: Any) -> None:
        self.timers = Timers()
        self.sink = Sink(SinkPlan(**plan), self.timers)  # type: ignore[arg-type]
        self.session = SinkSession(self.sink)
        self.wire = Wire()
        self.session.connection_made(self.wire)  # type: ignore[arg-type]

    def say(self, data: bytes) -> None:
        buffer = self.session.get_buffer(-1)
        buffer[: len(data)] = data
        self.session.buffer_updated(len(data))

    def until(self, stage: str) -> bytes:
        """Goes through a message up to and with ``stage``; what the sink answered to that one."""
        answered = 0
        if stage != "connect":
            for name in STAGES[1:]:
                answered = len(self.wire.written)
                self.say(LINES[name])
                if name == stage:
                    break
        return self.wire.written[answered:]


def test_a_message_is_swallowed_and_counted() -> None:
    client = Client()
    assert client.until("quit").startswith(b"221 ")
    counts = client.sink.counts
    assert (counts.messages, counts.recipients, counts.connections, counts.open) == (1, 1, 1, 1)
    assert counts.octets == len(b"Subject: x\r\n\r\n.dot\r\n")
    assert client.wire.closed
    client.session.connection_lost(None)
    assert client.sink.counts.open == 0


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_can_refuse(stage: str) -> None:
    client = Client(refuse={stage: (450, "4.2.0 busy")})
    assert client.until(stage) == b"450 4.2.0 busy\r\n"
    assert client.sink.counts.refused == {stage: 1}
    assert client.sink.counts.messages == (1 if stage == "quit" else 0)
    assert client.wire.closed == (stage in ("connect", "quit"))


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_can_cut_the_connection(stage: str) -> None:
    client = Client(drop=(stage,))
    assert client.until(stage) == b""
    assert client.wire.aborted
    assert client.sink.counts.dropped == {stage: 1}


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_can_wait(stage: str) -> None:
    client = Client(delay={stage: 0.5})
    assert client.until(stage) == b""
    assert client.timers.fire() == 0.5
    assert client.wire.written.splitlines()[-1][:3] in (b"220", b"250", b"354", b"221")
    assert client.timers.waiting == []
    assert not client.wire.paused
    assert client.sink.counts.messages == (1 if stage in ("body", "quit") else 0)


def test_a_delayed_refusal_comes_late() -> None:
    client = Client(delay={"rcpt": 2.0}, refuse={"rcpt": (550, "5.1.1 unknown")})
    assert client.until("rcpt") == b""
    client.timers.fire()
    assert client.wire.written.endswith(b"550 5.1.1 unknown\r\n")


def test_a_client_that_leaves_while_it_is_made_to_wait_is_forgotten() -> None:
    client = Client(delay={"body": 2.0})
    client.until("body")
    client.session.connection_lost(None)
    assert client.timers.waiting == []
    assert client.sink.counts.open == 0


def test_a_half_closed_connection_is_closed_once_nothing_is_owed() -> None:
    client = Client()
    assert client.session.eof_received()
    assert client.wire.closed


def test_a_client_that_does_not_read_is_not_read_from() -> None:
    client = Client()
    client.session.pause_writing()
    assert client.wire.paused
    client.session.resume_writing()
    assert not client.wire.paused


def test_a_size_limit_is_kept() -> None:
    client = Client(size=10)
    client.until("data")
    client.say(BODY)
    assert client.wire.written.splitlines()[-1].startswith(b"552 ")
    assert client.sink.counts.refused == {"body": 1}


def test_the_session_is_a_protocol_with_a_buffer() -> None:
    assert issubclass(SinkSession, asyncio.BufferedProtocol)
