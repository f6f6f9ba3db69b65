"""One connection over a transport that is none: greeting, waiting, pressure, time-outs, ends."""

import socket
import sys
from collections.abc import Callable, Iterator

import pytest

from fastsmtp.limits.probes import Space
from fastsmtp.mail import reply
from fastsmtp.session.connection import LINGER
from fastsmtp.session.service import REFUSALS_TOLD
from fastsmtp.smtp import limits
from fastsmtp.spool.base import SpoolFull
from tests.fakes.service import World
from tests.fakes.transport import FakeTransport

GREETING = b"220 mx.test ESMTP fastsmtp\r\n"
MAIL = b"MAIL FROM:<a@b.test>\r\n"
RCPT = b"RCPT TO:<alice@local.test>\r\n"
OPEN = b"EHLO c.test\r\n" + MAIL + RCPT
MESSAGE = OPEN + b"DATA\r\nx\r\n.\r\n"
QUEUED = b"250 2.0.0 queued as ID00000001\r\n"


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


@pytest.fixture
def client(world: World) -> FakeTransport:
    """A connection that has its greeting."""
    transport = world.connect()
    assert transport.take() == GREETING
    return transport


# --- beginnings ------------------------------------------------------------------------------------


def test_greeting_and_farewell(world: World, client: FakeTransport) -> None:
    assert len(world.service.connections) == 1
    assert sum(world.guard.total) == 1
    client.feed(b"QUIT\r\n")
    assert client.take() == reply.BYE.wire
    # who said QUIT closes too: nobody is waited for
    assert client.closing
    assert not client.half_closed
    client.lose()
    assert len(world.service.connections) == 0
    assert sum(world.guard.total) == 0
    assert world.logged() == []


def test_very_many_refused_connections_do_not_fill_the_log(world: World) -> None:
    world = World(connections=1)
    world.connect()
    for _ in range(REFUSALS_TOLD + 30):
        world.connect()
    assert len(world.logged()) == REFUSALS_TOLD
    world.service.tick()
    world.service.tick()
    assert world.logged()[REFUSALS_TOLD:] == ["event 30 more connections were refused within a second"]
    world.connect()
    assert "stage=connect" in world.logged()[-1]
    world.close()


def test_too_many_connections(world: World) -> None:
    world = World(connections=1)
    first, second = world.connect(), world.connect()
    assert second.take() == reply.TOO_MANY_CONNECTIONS.wire
    assert second.closing
    second.lose()
    assert sum(world.guard.total) == 1
    assert world.logged() == [
        'rejected stage=connect client=192.0.2.1 reply="421 4.3.2 too many connections"'
    ]
    first.lose()
    assert world.connect().take() == GREETING
    world.close()


def test_a_peer_without_a_name(world: World) -> None:
    transport = world.connect(ip="")
    assert transport.take() == GREETING
    transport.lose()
    assert sum(world.guard.total) == 0


def test_talk_before_the_banner_lies_in_the_socket() -> None:
    world = World()
    here, there = socket.socketpair()
    with here, there:
        there.sendall(b"EHLO x\r\n")
        transport = world.connect(handle=here)
    assert transport.take() == reply.EARLY_TALK.wire
    assert transport.half_closed
    assert not transport.closing
    assert world.logged() == [
        'rejected stage=connect client=192.0.2.1 reply="554 5.5.1 talked before the banner"'
    ]
    transport.feed(b"EHLO x\r\n")
    assert transport.take() == b""
    transport.protocol.eof_received()
    assert transport.closing
    transport.lose()
    assert sum(world.guard.total) == 0
    world.close()


def test_a_quiet_socket_is_greeted(world: World) -> None:
    here, there = socket.socketpair()
    with here, there:
        assert world.connect(handle=here).take() == GREETING


class Delayed(World):
    """A world whose banners wait; `due` sends them."""

    def __init__(self) -> None:
        super().__init__(banner_delay=2)
        self.calls: list[tuple[float, object]] = []
        self.service.call_later = lambda delay, call: self.calls.append((delay, call))  # type: ignore[method-assign]

    def due(self) -> None:
        for delay, call in self.calls:
            assert delay == 2
            call()  # type: ignore[operator]
        self.calls.clear()


def test_a_banner_that_waits() -> None:
    world = Delayed()
    patient, hasty, gone = world.connect(), world.connect(), world.connect()
    assert patient.take() == b""
    hasty.feed(b"EHLO x\r\n")
    assert hasty.take() == reply.EARLY_TALK.wire
    assert hasty.half_closed
    gone.lose()
    world.due()
    assert patient.take() == GREETING
    assert hasty.take() == b""
    assert gone.take() == b""
    patient.feed(b"NOOP\r\n")
    assert patient.take() == reply.OK.wire
    world.close()


# --- a message -------------------------------------------------------------------------------------


def test_the_reply_to_a_message_waits_for_the_spool(world: World, client: FakeTransport) -> None:
    client.feed(MESSAGE)
    assert client.take().endswith(reply.SEND_DATA.wire)
    world.spool.commit()
    assert client.take() == QUEUED


def test_pipelined_replies_leave_in_one_write(world: World, client: FakeTransport) -> None:
    client.feed(OPEN + b"DATA\r\n")
    assert len(client.writes) == 1
    client.take()
    client.feed(b"x\r\n.\r\n" + MAIL + RCPT + b"QUIT\r\n")
    assert client.writes == []
    world.spool.commit()
    assert len(client.writes) == 1
    assert client.take() == QUEUED + reply.SENDER_OK.wire + reply.RECIPIENT_OK.wire + reply.BYE.wire
    assert client.closing


def test_who_does_not_read_its_replies_is_answered_no_further(world: World, client: FakeTransport) -> None:
    later: list[Callable[[], None]] = []
    world.service.call_later = lambda delay, call: later.append(call)  # type: ignore[method-assign]
    one = reply.HELP_TEXT.wire
    count = 4 * limits.OUTPUT // len(one)
    client.room = limits.OUTPUT // 2
    client.feed(b"HELP\r\n" * count)
    assert not client.reading
    assert len(client.written) < limits.OUTPUT + len(one)
    said = client.take()
    later.pop()()
    assert client.written == b"", "the transport still holds the replies"
    while not client.reading:
        client.drain()
        while later:
            later.pop(0)()
        assert len(client.written) < limits.OUTPUT + len(one)
        said += client.take()
    assert said == one * count
    client.feed(b"NOOP\r\n")
    assert client.take() == reply.OK.wire


def test_a_flood_that_ends_gets_all_its_replies(world: World, client: FakeTransport) -> None:
    later: list[Callable[[], None]] = []
    world.service.call_later = lambda delay, call: later.append(call)  # type: ignore[method-assign]
    one = reply.HELP_TEXT.wire
    count = 3 * limits.OUTPUT // len(one)
    client.feed(b"HELP\r\n" * count)
    client.protocol.eof_received()
    assert not client.closing
    while later:
        later.pop(0)()
    assert client.take() == one * count
    assert client.closing


def test_input_beyond_what_is_answered_stays_in_the_kernel(world: World, client: FakeTransport) -> None:
    client.feed(MESSAGE)
    assert client.reading
    client.feed(b"NOOP\r\n")
    assert not client.reading
    client.take()
    world.spool.commit()
    assert client.take() == QUEUED + reply.OK.wire
    assert client.reading


def test_two_messages_in_one_breath(world: World, client: FakeTransport) -> None:
    client.feed(MESSAGE + MESSAGE + b"NOOP\r\n")
    assert not client.reading
    world.spool.commit()
    # the second is owed now, and the NOOP behind it is still held
    assert client.take().count(b"queued as") == 1
    assert not client.reading
    world.spool.commit()
    assert client.reading
    assert client.take().endswith(b"queued as ID00000002\r\n" + reply.OK.wire)
    client.feed(b"NOOP\r\n")
    assert client.take() == reply.OK.wire


def test_a_half_closed_client_gets_its_replies(world: World, client: FakeTransport) -> None:
    client.feed(MESSAGE + b"NOOP\r\n")
    assert client.protocol.eof_received() is True
    assert not client.closing
    client.take()
    world.spool.commit()
    assert client.take() == QUEUED + reply.OK.wire
    assert client.closing


def test_a_half_closed_client_with_a_second_message(world: World, client: FakeTransport) -> None:
    client.feed(MESSAGE + MESSAGE)
    assert client.protocol.eof_received() is True
    world.spool.commit()
    assert not client.closing
    world.spool.commit()
    assert client.take().count(b"queued as") == 2
    assert client.closing


@pytest.mark.parametrize("said", [b"", b"EHLO x\r\n", b"NOO", OPEN, OPEN + b"DATA\r\nx"])
def test_a_half_closed_client_that_is_owed_nothing(world: World, client: FakeTransport, said: bytes) -> None:
    if said:
        client.feed(said)
    assert client.protocol.eof_received() is True
    assert client.closing
    client.lose()
    assert world.spool.waiting == []


def test_a_client_that_vanishes_in_its_body(world: World, client: FakeTransport) -> None:
    client.feed(OPEN + b"DATA\r\n" + b"x" * 10_000)
    client.lose()
    assert world.spool.files[0].aborted
    assert sum(world.guard.total) == 0


def test_a_client_that_vanishes_before_its_reply(world: World, client: FakeTransport) -> None:
    client.feed(MESSAGE)
    client.take()
    client.lose()
    world.spool.commit()
    assert client.take() == b""
    assert world.logged()[0].startswith("received id=ID00000001")


def test_a_connection_that_is_gone_is_not_kept(world: World) -> None:
    """Not by a message that waits for the spool, and without a garbage collector's help."""
    client = world.connect()
    client.feed(MESSAGE)
    connection = client.protocol
    client.lose()
    del client.protocol
    held_by = sys.getrefcount(connection)
    assert held_by <= 2  # this function, and the call that asks
    world.spool.commit()
    assert world.logged()[0].startswith("received id=ID00000001")


def test_a_spool_that_fails_leaves_the_session_usable(world: World, client: FakeTransport) -> None:
    client.feed(MESSAGE)
    client.take()
    world.spool.commit(SpoolFull("no room"))
    assert client.take() == reply.SPOOL_FULL.wire
    client.feed(MESSAGE)
    world.spool.commit()
    assert client.take().endswith(b"queued as ID00000002\r\n")


def test_mail_is_put_off_while_something_runs_short(world: World, client: FakeTransport) -> None:
    """At MAIL, with the reason; a message whose MAIL was answered goes on."""
    client.feed(OPEN)
    client.take()
    world.pressure.tick({0: 0})
    world.machine.available = 0
    world.pressure.tick({0: 0})
    client.feed(b"DATA\r\nx\r\n.\r\n")
    world.spool.commit()
    assert client.take().endswith(b"queued as ID00000001\r\n")
    client.feed(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<alice@local.test>\r\nNOOP\r\n")
    assert client.take() == (
        b"452 4.3.1 short of memory, try later\r\n503 5.5.1 MAIL first\r\n250 2.0.0 OK\r\n"
    )
    world.machine.available = 1 << 40
    world.pressure.tick({0: 0})
    client.feed(b"MAIL FROM:<a@b.test>\r\n")
    assert client.take() == b"250 2.1.0 sender OK\r\n"
    assert 'rejected stage=MAIL client=192.0.2.1 from=<a@b.test> reply="452 4.3.1 ' in world.logged()[2]


def test_a_declared_size_that_has_no_room_is_put_off(world: World, client: FakeTransport) -> None:
    """RFC 1870 §6.1"""
    [(place, marks)] = world.pressure.disks
    world.machine.spaces[place] = Space(marks[0].limit + 1000, 1 << 40)
    world.pressure.look(place, marks)
    client.feed(b"EHLO client.test\r\n")
    client.take()
    client.feed(b"MAIL FROM:<a@b.test> SIZE=1001\r\nMAIL FROM:<a@b.test> SIZE=1000\r\n")
    assert client.take() == (
        b"452 4.3.1 no room for a message of this size now, try later\r\n250 2.1.0 sender OK\r\n"
    )


# --- pressure --------------------------------------------------------------------------------------


def test_a_large_body_waits_for_the_disk(world: World, client: FakeTransport) -> None:
    world.spool.room = 6000
    client.feed(OPEN + b"DATA\r\n" + b"x" * 5000)
    assert client.reading
    client.feed(b"x" * 5000)
    assert not client.reading
    world.spool.files[0].drain()
    assert client.reading


def test_a_client_that_does_not_read_is_not_read_from(client: FakeTransport) -> None:
    client.room = 100
    client.feed(b"HELP\r\n" * 2)
    assert not client.reading
    client.drain()
    assert client.reading


def test_reading_goes_on_when_every_reason_is_gone(world: World, client: FakeTransport) -> None:
    world.spool.room = 100
    client.feed(OPEN + b"DATA\r\n" + b"x" * 5000)
    client.protocol.pause_writing()
    assert not client.reading
    world.spool.files[0].drain()
    assert not client.reading
    client.protocol.resume_writing()
    assert client.reading


# --- time-outs -------------------------------------------------------------------------------------


def test_a_silent_client(world: World, client: FakeTransport) -> None:
    world.seconds(300)
    assert client.take() == b""
    world.seconds(1)
    assert client.take() == reply.TIMEOUT.wire
    assert client.half_closed
    assert not client.aborted
    world.seconds(LINGER)
    assert not client.aborted
    world.seconds(1)
    assert client.aborted


def test_every_byte_is_a_sign_of_life(world: World, client: FakeTransport) -> None:
    for octet in b"NOOP":
        world.seconds(299)
        client.feed(bytes([octet]))
    assert client.take() == b""
    world.seconds(299)
    client.feed(b"\r\n")
    assert client.take() == reply.OK.wire


def test_who_waits_for_us_is_not_silent(world: World, client: FakeTransport) -> None:
    client.feed(MESSAGE)
    client.take()
    world.seconds(1000)
    assert client.take() == b""
    world.spool.commit()
    assert client.take() == QUEUED
    world.seconds(300)
    assert client.take() == b""
    world.seconds(1)
    assert client.take() == reply.TIMEOUT.wire


def test_who_waits_for_our_disk_is_not_silent(world: World, client: FakeTransport) -> None:
    world.spool.room = 100
    client.feed(OPEN + b"DATA\r\n" + b"x" * 5000)
    client.take()
    world.seconds(1000)
    assert client.take() == b""
    world.spool.files[0].drain()
    world.seconds(300)
    assert client.take() == b""
    world.seconds(1)
    assert client.take() == reply.TIMEOUT.wire
    assert world.spool.files[0].aborted


# --- the server's ends -----------------------------------------------------------------------------


def test_after_the_last_error_we_linger(world: World, client: FakeTransport) -> None:
    """Our side is closed, but what the client still sends is read: a reset would eat the reply."""
    client.feed(b"FOO\r\n" * 4 + b"NOOP\r\n")
    assert client.take().endswith(reply.TOO_MANY_ERRORS.wire)
    assert client.half_closed
    assert not client.closing
    client.feed(b"NOOP\r\n" * 1000)
    assert client.take() == b""
    client.protocol.eof_received()
    assert client.closing


def test_a_client_that_goes_on_talking_is_not_lingered_for_any_longer(
    world: World, client: FakeTransport
) -> None:
    client.feed(b"FOO\r\n" * 4)
    for _ in range(LINGER + 1):
        assert not client.aborted
        client.feed(b"NOOP\r\n")
        world.seconds(1)
    assert client.aborted


def test_a_refused_client_that_was_paused_is_read_again(world: World, client: FakeTransport) -> None:
    client.room = 10
    client.feed(b"FOO\r\n" * 4)
    assert client.half_closed
    assert client.reading
    client.drain()
    assert client.reading


def broken(*arguments: object, **named: object) -> None:
    raise ZeroDivisionError("oh\nno")


def test_a_defect_of_ours(world: World, client: FakeTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    client.feed(OPEN)
    client.take()
    with monkeypatch.context() as patch:
        patch.setattr(world.service.context.intake, "begin", broken)
        client.feed(b"DATA\r\n")
    assert client.take() == reply.LOCAL_ERROR.wire
    assert client.closing
    (line,) = world.logged()
    place = "ZeroDivisionError at test_session_connection.py"
    assert line.startswith(f"event session with 192.0.2.1 ended: internal error, {place}:")
    assert "oh" not in line, "what an error says may be a secret, or a client's octets"
    client.lose()
    assert sum(world.guard.total) == 0


def test_a_defect_after_the_spool_s_answer(
    world: World, client: FakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.feed(MESSAGE + MAIL)
    client.take()
    with monkeypatch.context() as patch:
        patch.setattr(world.service.context.limits, "mail", broken)
        world.spool.commit()
    assert client.take() == reply.LOCAL_ERROR.wire
    assert client.closing
    assert world.logged()[-1].startswith(
        "event session with 192.0.2.1 ended: internal error, ZeroDivisionError"
    )
    client.lose()


def test_goodbye_to_a_session_that_is_over(world: World, client: FakeTransport) -> None:
    connection = next(iter(world.service.connections))
    client.feed(b"QUIT\r\n")
    client.take()
    connection.say_goodbye(reply.SHUTTING_DOWN)
    assert client.take() == b""
    client.lose()
    connection.say_goodbye(reply.SHUTTING_DOWN)
    connection.answer(reply.OK)
    assert client.take() == b""


def test_goodbye_waits_for_a_reply_that_is_owed(world: World, client: FakeTransport) -> None:
    connection = next(iter(world.service.connections))
    client.feed(MESSAGE)
    client.take()
    connection.say_goodbye(reply.SHUTTING_DOWN)
    assert client.take() == b""
    world.spool.commit()
    assert client.take() == QUEUED
