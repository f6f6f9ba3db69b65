"""One connection over a transport that is none: bytes cut anywhere, patience, pressure, ends."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from fastsmtp.config.values import Duration
from fastsmtp.mail.envelope import Recipient
from fastsmtp.smtp.outgoing_values import Event
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.transport.smtp.connection import FAREWELL, PIECE, PIECES_AT_ONCE, Connection, FileContent, Lines
from fastsmtp.transport.smtp.settings import OutboundSettings
from tests.fakes.clock import FakeClock
from tests.fakes.transport import FakeTransport

GREETING = b"220 peer.test\r\n250-peer.test\r\n250 PIPELINING\r\n"
TO = [Recipient("b@far.test", "")]
ENVELOPE = b"MAIL FROM:<a@near.test>\r\nRCPT TO:<b@far.test>\r\nDATA\r\n"


class Loop(FakeTransport):
    """As uvloop's, which can be told when to pause."""

    high = 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high or 0

    def abort(self) -> None:
        if not self.aborted:
            super().abort()
            self.protocol.connection_lost(None)


class Session:
    """A connection, its owner, and the loop's end."""

    def __init__(self, *, greeted: bool = True) -> None:
        self.lines = Lines(OutboundSettings(), MailLog(FakeClock(), slot=0), 1000.0)
        self.events: list[int] = []
        self.connection = Connection(self.lines, self, "mx[192.0.2.1]:25", b"out.test")
        self.loop = Loop(self.connection)
        self.connection.connection_made(self.loop)
        if greeted:
            self.loop.feed(GREETING[:15])
            self.loop.feed(GREETING[15:])
            self.loop.take()
            assert self.events.pop() == Event.READY

    def happened(self, connection: Connection, event: int) -> None:
        assert connection is self.connection
        self.events.append(event)

    def trouble(self) -> str:
        assert self.events[-1] == Event.OVER
        trouble = self.connection.protocol.trouble
        assert trouble is not None
        return trouble.text

    def pass_by(self, seconds: float) -> None:
        self.lines.tick(self.lines.now + seconds)


@pytest.fixture
def large() -> Iterator[FileContent]:
    fd = os.memfd_create("message")
    size = 3 * PIECE * PIECES_AT_ONCE + 1000
    os.write(fd, (b"x" * 62 + b"\r\n") * (size // 64 + 1))
    yield FileContent(fd, 0, size - size % 64)
    os.close(fd)


def test_a_message_byte_by_byte() -> None:
    one = Session()
    one.connection.begin("a@near.test", TO, None, b"x\r\n")
    assert one.loop.take() == ENVELOPE
    for byte in b"250 ok\r\n250-2.1.5 a\r\n250 2.1.5 b\r\n354 go\r\n":
        one.loop.feed(bytes((byte,)))
    assert one.loop.take() == b"x\r\n.\r\n"
    for byte in b"250 2.0.0 taken\r\n":
        assert one.events == []
        one.loop.feed(bytes((byte,)))
    assert one.events == [Event.DONE]
    assert one.connection.alive
    assert one.connection.uses == 1


@pytest.mark.parametrize(
    ("fed", "stage", "seconds"),
    [
        (b"", "mail", 300),
        (b"250 ok\r\n", "rcpt", 300),
        (b"250 ok\r\n250 ok\r\n", "data", 120),
        (b"250 ok\r\n250 ok\r\n354 go\r\n", "body", 600),
    ],
)
def test_patience_by_stage(fed: bytes, stage: str, seconds: float) -> None:
    one = Session()
    one.pass_by(500)
    assert one.events == [], "between messages time is the pool's matter"
    one.connection.begin("a@near.test", TO, None, b"x\r\n")
    if fed:
        one.loop.feed(fed)
    assert one.connection.protocol.stage == stage
    one.pass_by(seconds)
    assert one.events == []
    one.pass_by(1)
    assert one.trouble().startswith(f"the server said nothing for {seconds} s")
    assert one.loop.aborted
    assert one.events == [Event.OVER]
    assert not one.lines.connections


def test_an_answer_in_bits_wins_no_time() -> None:
    one = Session(greeted=False)
    for _ in range(4):
        one.pass_by(70)
        one.loop.feed(b"220-still here\r\n")
    assert one.events == []
    one.pass_by(30)
    assert one.trouble() == "the server said nothing for 300 s while waiting for the greeting"


def test_each_of_many_answers_may_take_its_time_but_not_all_together() -> None:
    one = Session()
    many = [Recipient(f"u{number}@far.test", "") for number in range(50)]
    one.connection.begin("a@near.test", many, None, b"x\r\n")
    one.loop.feed(b"250 ok\r\n")
    for _ in range(10):
        assert one.events == []
        one.pass_by(299)
        one.loop.feed(b"250 ok\r\n")
    one.pass_by(11)
    assert one.events == [Event.OVER]


def test_a_slow_server_is_given_no_more_than_it_takes(large: FileContent) -> None:
    one = Session()
    one.connection.begin("a@near.test", TO, None, large)
    one.loop.take()
    one.loop.room = one.loop.high
    one.loop.feed(b"250 ok\r\n250 ok\r\n354 go\r\n")
    assert one.connection.paused
    sent = len(one.loop.written)
    assert one.loop.high - PIECE < sent <= one.loop.high + PIECE
    one.pass_by(180)
    one.loop.drain()
    assert sent < len(one.loop.written) <= sent + one.loop.high + PIECE
    one.pass_by(180)
    assert one.events == []
    one.pass_by(1)
    assert one.trouble() == "the server took nothing for 180 s while the message was sent"


def test_a_large_message_lets_others_have_their_turn(large: FileContent) -> None:
    async def attempt() -> None:
        one = Session()
        one.connection.begin("a@near.test", TO, None, large)
        one.loop.take()
        one.loop.feed(b"250 ok\r\n250 ok\r\n354 go\r\n")
        turns = 0
        while one.connection.protocol.open:
            assert len(one.loop.written) <= (turns + 1) * PIECE * PIECES_AT_ONCE
            turns += 1
            await asyncio.sleep(0)
        assert turns == 3
        assert len(one.loop.take()) == large.length + len(b".\r\n")
        one.loop.feed(b"250 taken\r\n")
        assert one.events == [Event.DONE]

    asyncio.run(attempt())


def test_an_answer_before_the_end_ends_the_session(large: FileContent) -> None:
    one = Session()
    one.connection.begin("a@near.test", TO, None, large)
    one.loop.take()
    one.loop.room = 1000
    one.loop.feed(b"250 ok\r\n250 ok\r\n354 go\r\n")
    one.loop.feed(b"552 5.3.4 too much\r\n")
    assert one.events == [Event.OVER]
    assert one.connection.protocol.outcomes[0].code == 552  # type: ignore[union-attr]
    assert one.loop.aborted
    one.loop.drain()
    assert one.events == [Event.OVER]


@pytest.mark.parametrize("said", [b"250 hello?\r\n", b"421 4.4.2 bye\r\n"])
def test_what_nobody_asked_for_ends_an_idle_session(said: bytes) -> None:
    one = Session()
    one.loop.feed(said)
    assert one.events == [Event.OVER]
    assert not one.connection.alive


def test_an_end_of_file_ends_it() -> None:
    one = Session()
    one.connection.eof_received()
    assert one.trouble() == "the server closed the connection between messages"
    assert not one.connection.alive
    one.connection.connection_lost(None)
    assert one.events == [Event.OVER]


def test_goodbye() -> None:
    one = Session()
    one.connection.retire()
    assert one.loop.take() == b"QUIT\r\n"
    assert not one.loop.closing
    one.loop.feed(b"221 bye\r\n")
    assert one.loop.closing
    assert one.events == [], "the owner is not asked any more"


def test_a_goodbye_is_not_waited_for_long() -> None:
    one = Session()
    one.connection.retire()
    one.pass_by(FAREWELL)
    assert not one.loop.closing
    one.pass_by(1)
    assert one.loop.aborted


def test_a_connection_given_up_before_it_is_made() -> None:
    one = Session(greeted=False)
    late = Connection(one.lines, one, "mx", b"out.test")
    late.owner = None
    late.drop("not wanted")
    loop = Loop(late)
    late.connection_made(loop)
    assert loop.aborted
    assert late not in one.lines.connections


def test_timeouts_come_from_the_settings() -> None:
    times = {
        "greeting_timeout": 1,
        "command_timeout": 2,
        "data_timeout": 3,
        "end_timeout": 4,
        "block_timeout": 5,
    }
    settings = OutboundSettings(**{key: Duration(value) for key, value in times.items()})  # type: ignore[arg-type]
    lines = Lines(settings, MailLog(FakeClock(), slot=0), 0.0)
    waits = [lines.patience[stage] for stage in ("connect", "helo", "tls", "mail", "rcpt", "data", "body")]
    assert (waits, lines.block) == ([1, 1, 1, 2, 2, 3, 4], 5)


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match='source_ipv4: expected an IPv4 address, got "::1"'):
        OutboundSettings(source_ipv4="::1")
    with pytest.raises(ValueError, match='source_ipv6: expected an IPv6 address, got "x"'):
        OutboundSettings(source_ipv6="x")
