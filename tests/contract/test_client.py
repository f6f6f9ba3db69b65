"""The client's side of a session: the compiled one and its plain twin under the same tests."""

import importlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest

from fastsmtp import _core
from fastsmtp.smtp.client_dialogue import ClientProtocol
from fastsmtp.smtp.events import Event

MAIL = b"MAIL FROM:<a@example.org>\r\n"
RCPTS = (b"RCPT TO:<b@example.org>\r\n", b"RCPT TO:<c@example.org>\r\n")
BODY = b"Subject: x\r\n\r\nhello\r\n.\r\n"
CHUNK = b"BDAT 5 LAST\r\nhello"
EHLO = b"EHLO client.example.org\r\n"
GREETING = b"220 mx.example.org ESMTP\r\n"
HELLO = b"250-mx.example.org\r\n250-pipelining\r\n250-CHUNKING\r\n250 SIZE 1000\r\n"
OK = b"250 2.0.0 OK\r\n"
GO_ON = b"354 go on\r\n"
BYE = b"221 2.0.0 bye\r\n"

Make = Callable[..., Any]


@pytest.fixture(params=["c", "py"])
def make(request: pytest.FixtureRequest) -> Make:
    name = {"c": "fastsmtp._core.client", "py": "fastsmtp.smtp.client"}[request.param]
    if request.param == "c":
        pytest.importorskip(name, reason="the compiled core is not built")
    return importlib.import_module(name).ClientProtocol  # type: ignore[no-any-return]


class Outcome(NamedTuple):
    """What a whole session came to."""

    written: bytes
    events: list[Event]
    refusals: list[tuple[str, bytes]]


def converse(
    make: Make,
    pieces: Iterable[bytes],
    *,
    messages: int = 1,
    rcpts: tuple[bytes, ...] = RCPTS[:1],
    cut_off: bool = False,
    **options: bool,
) -> Outcome:
    """Feeds the server's ``pieces`` and answers events as the load generator does."""
    client = make(b"client.example.org", **options)
    written = b""
    events = []
    body = CHUNK if options.get("chunking") else BODY
    for piece in pieces:
        written += client.receive(piece)
        while client.event:
            event = Event(client.event)
            events.append(event)
            if event is Event.OVER:
                return Outcome(written, events, client.refusals)
            if messages:
                messages -= 1
                written += client.send(MAIL, rcpts, body)
            else:
                written += client.quit()
            written += client.receive(b"")
    if cut_off:
        client.end()
        events.append(Event(client.event))
    return Outcome(written, events, client.refusals)


SESSIONS: dict[str, tuple[bytes, dict[str, Any], Outcome]] = {
    "one message": (
        GREETING + HELLO + OK + OK + GO_ON + OK + BYE,
        {},
        Outcome(
            EHLO + MAIL + RCPTS[0] + b"DATA\r\n" + BODY + b"QUIT\r\n",
            [Event.READY, Event.SENT, Event.OVER],
            [],
        ),
    ),
    "two messages over one connection": (
        GREETING + HELLO + (OK + OK + GO_ON + OK) * 2 + BYE,
        {"messages": 2},
        Outcome(
            EHLO + (MAIL + RCPTS[0] + b"DATA\r\n" + BODY) * 2 + b"QUIT\r\n",
            [Event.READY, Event.SENT, Event.SENT, Event.OVER],
            [],
        ),
    ),
    "pipelined": (
        GREETING + HELLO + OK + OK + OK + GO_ON + OK + BYE,
        {"rcpts": RCPTS, "pipelining": True},
        Outcome(
            EHLO + MAIL + RCPTS[0] + RCPTS[1] + b"DATA\r\n" + BODY + b"QUIT\r\n",
            [Event.READY, Event.SENT, Event.OVER],
            [],
        ),
    ),
    "by chunk": (
        GREETING + HELLO + OK + OK + OK + BYE,
        {"chunking": True},
        Outcome(EHLO + MAIL + RCPTS[0] + CHUNK + b"QUIT\r\n", [Event.READY, Event.SENT, Event.OVER], []),
    ),
    "by chunk, pipelined": (
        GREETING + HELLO + OK + OK + OK + BYE,
        {"chunking": True, "pipelining": True},
        Outcome(EHLO + MAIL + RCPTS[0] + CHUNK + b"QUIT\r\n", [Event.READY, Event.SENT, Event.OVER], []),
    ),
    "one recipient of two refused": (
        GREETING + HELLO + OK + b"550 5.1.1 unknown\r\n" + OK + GO_ON + OK + BYE,
        {"rcpts": RCPTS},
        Outcome(
            EHLO + MAIL + RCPTS[0] + RCPTS[1] + b"DATA\r\n" + BODY + b"QUIT\r\n",
            [Event.READY, Event.SENT, Event.OVER],
            [("rcpt", b"550 5.1.1 unknown")],
        ),
    ),
    "no recipient accepted": (
        GREETING + HELLO + OK + b"550 5.1.1 unknown\r\n" + OK + BYE,
        {},
        Outcome(
            EHLO + MAIL + RCPTS[0] + b"RSET\r\n" + b"QUIT\r\n",
            [Event.READY, Event.REFUSED, Event.OVER],
            [("rcpt", b"550 5.1.1 unknown")],
        ),
    ),
    "no recipient accepted, pipelined": (
        GREETING + HELLO + OK + b"550 5.1.1 unknown\r\n554 5.5.1 no recipients\r\n" + OK + BYE,
        {"pipelining": True},
        Outcome(
            EHLO + MAIL + RCPTS[0] + b"DATA\r\nRSET\r\nQUIT\r\n",
            [Event.READY, Event.REFUSED, Event.OVER],
            [("rcpt", b"550 5.1.1 unknown")],
        ),
    ),
    "no recipient accepted, pipelined, and 354 all the same": (
        GREETING + HELLO + OK + b"550 5.1.1 unknown\r\n" + GO_ON + b"554 5.5.1 nobody\r\n" + BYE,
        {"pipelining": True},
        Outcome(
            EHLO + MAIL + RCPTS[0] + b"DATA\r\n.\r\nQUIT\r\n",
            [Event.READY, Event.REFUSED, Event.OVER],
            [("rcpt", b"550 5.1.1 unknown")],
        ),
    ),
    "sender refused, pipelined": (
        GREETING + HELLO + b"550 5.7.1 no\r\n503 5.5.1 MAIL first\r\n503 5.5.1 MAIL first\r\n" + OK + BYE,
        {"pipelining": True},
        Outcome(
            EHLO + MAIL + RCPTS[0] + b"DATA\r\nRSET\r\nQUIT\r\n",
            [Event.READY, Event.REFUSED, Event.OVER],
            [("mail", b"550 5.7.1 no")],
        ),
    ),
    "sender refused": (
        GREETING + HELLO + b"550-5.7.1 no\r\n550 5.7.1 never\r\n" + OK + BYE,
        {},
        Outcome(
            EHLO + MAIL + b"RSET\r\nQUIT\r\n",
            [Event.READY, Event.REFUSED, Event.OVER],
            [("mail", b"550 5.7.1 never")],
        ),
    ),
    "DATA refused": (
        GREETING + HELLO + OK + OK + b"451 4.3.0 not now\r\n" + OK + BYE,
        {},
        Outcome(
            EHLO + MAIL + RCPTS[0] + b"DATA\r\nRSET\r\nQUIT\r\n",
            [Event.READY, Event.REFUSED, Event.OVER],
            [("data", b"451 4.3.0 not now")],
        ),
    ),
    "body refused": (
        GREETING + HELLO + OK + OK + GO_ON + b"452 4.3.1 full\r\n" + BYE,
        {},
        Outcome(
            EHLO + MAIL + RCPTS[0] + b"DATA\r\n" + BODY + b"QUIT\r\n",
            [Event.READY, Event.REFUSED, Event.OVER],
            [("body", b"452 4.3.1 full")],
        ),
    ),
    "chunk refused": (
        GREETING + HELLO + OK + OK + b"452 4.3.1 full\r\n" + OK + BYE,
        {"chunking": True},
        Outcome(
            EHLO + MAIL + RCPTS[0] + CHUNK + b"RSET\r\nQUIT\r\n",
            [Event.READY, Event.REFUSED, Event.OVER],
            [("body", b"452 4.3.1 full")],
        ),
    ),
    "EHLO unknown": (
        GREETING + b"502 5.5.1 what\r\n" + OK + OK + OK + GO_ON + OK + BYE,
        {},
        Outcome(
            EHLO + b"HELO client.example.org\r\n" + MAIL + RCPTS[0] + b"DATA\r\n" + BODY + b"QUIT\r\n",
            [Event.READY, Event.SENT, Event.OVER],
            [],
        ),
    ),
    "connection refused by the greeting": (
        b"554 5.7.1 go away\r\n",
        {},
        Outcome(b"", [Event.OVER], [("connect", b"554 5.7.1 go away")]),
    ),
    "what was asked for is not announced": (
        GREETING + b"250 mx.example.org\r\n",
        {"pipelining": True},
        Outcome(EHLO, [Event.OVER], [("helo", b"PIPELINING is not announced")]),
    ),
    "421 in the middle": (
        GREETING + HELLO + OK + b"421 4.3.2 shutting down\r\n",
        {},
        Outcome(EHLO + MAIL + RCPTS[0], [Event.READY, Event.OVER], [("rcpt", b"421 4.3.2 shutting down")]),
    ),
    "not SMTP": (
        b"HTTP/1.1 400 Bad Request\r\n",
        {},
        Outcome(b"", [Event.OVER], [("connect", b"not an SMTP reply")]),
    ),
    "a bare LF ends a reply line too": (
        b"220 mx\n250 mx\n",
        {"messages": 0},
        Outcome(EHLO + b"QUIT\r\n", [Event.READY], []),
    ),
}


@pytest.mark.parametrize("name", SESSIONS)
def test_session_whole(make: Make, name: str) -> None:
    replies, options, expected = SESSIONS[name]
    assert converse(make, [replies], **options) == expected


@pytest.mark.parametrize("name", SESSIONS)
def test_session_byte_by_byte(make: Make, name: str) -> None:
    replies, options, expected = SESSIONS[name]
    assert converse(make, [replies[i : i + 1] for i in range(len(replies))], **options) == expected


@pytest.mark.parametrize("name", SESSIONS)
def test_session_cut_at_every_position(make: Make, name: str) -> None:
    replies, options, expected = SESSIONS[name]
    for cut in range(len(replies) + 1):
        assert converse(make, [replies[:cut], replies[cut:]], **options) == expected


def test_only_the_given_size_of_a_shared_buffer_is_read(make: Make) -> None:
    client = make(b"x")
    buffer = bytearray(GREETING + b"garbage")
    assert client.receive(memoryview(buffer), len(GREETING)) == b"EHLO x\r\n"
    assert client.event == Event.NOTHING


def test_end_of_connection_within_a_message_is_a_refusal(make: Make) -> None:
    outcome = converse(make, [GREETING + HELLO + OK + OK + GO_ON], cut_off=True)
    assert outcome.refusals == [("body", b"connection closed")]
    assert outcome.events == [Event.READY, Event.OVER]


def test_end_of_connection_after_quit_is_none(make: Make) -> None:
    outcome = converse(make, [GREETING + HELLO], messages=0, cut_off=True)
    assert outcome.refusals == []
    assert outcome.events == [Event.READY, Event.OVER]


def test_a_line_without_end_is_given_up(make: Make) -> None:
    client = make(b"x")
    for _ in range(5):
        client.receive(b"2" * 1000)
    assert client.event == Event.OVER
    assert client.refusals == [("connect", b"not an SMTP reply")]


def test_a_goodbye_that_comes_unasked_ends_the_session(make: Make) -> None:
    client = make(b"x")
    client.receive(GREETING + HELLO)
    assert client.event == Event.READY
    client.receive(b"421 4.4.2 timeout\r\n")
    assert client.event == Event.OVER
    assert client.refusals == [("idle", b"421 4.4.2 timeout")]


def test_a_goodbye_behind_the_last_reply_is_seen_when_the_connection_ends(make: Make) -> None:
    client = make(b"x")
    client.receive(GREETING + HELLO + b"421 4.3.2 shutting down\r\n")
    assert client.event == Event.READY
    client.end()
    assert client.refusals == [("idle", b"421 4.3.2 shutting down")]


def test_sending_before_the_session_is_ready_is_an_error(make: Make) -> None:
    client = make(b"x")
    with pytest.raises(RuntimeError):
        client.send(MAIL, RCPTS, BODY)
    with pytest.raises(RuntimeError):
        client.quit()
    client.receive(GREETING + HELLO)
    with pytest.raises(RuntimeError):
        client.send(MAIL, (), BODY)


def test_the_core_that_is_chosen_is_the_one_in_use() -> None:
    module = "fastsmtp._core.client" if _core.COMPILED else "fastsmtp.smtp.client"
    assert ClientProtocol.__module__ == module


def test_stage_names_what_is_waited_for(make: Make) -> None:
    client = make(b"x")
    stages = [client.stage]
    for piece in (GREETING, HELLO):
        client.receive(piece)
        stages.append(client.stage)
    client.send(MAIL, RCPTS[:1], BODY)
    for piece in (b"", OK, OK, GO_ON):
        client.receive(piece)
        stages.append(client.stage)
    assert stages == ["connect", "helo", "idle", "mail", "rcpt", "data", "body"]
