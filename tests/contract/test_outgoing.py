"""The sending client's side of a session: the compiled one and its plain twin under the same tests."""

from collections.abc import Sequence
from typing import Any

import pytest

from fastsmtp import _core
from fastsmtp.mail.envelope import Recipient
from fastsmtp.smtp.outgoing_dialogue import OutgoingProtocol
from fastsmtp.smtp.outgoing_values import EARLY_CHUNK, Event, Outcome
from tests.fakes.outgoing import (
    BYE,
    CHUNKED,
    CONTENT,
    EHLO,
    GO_ON,
    GREETING,
    IMPLEMENTATIONS,
    LATER,
    MAIL,
    NO,
    OK,
    PIPELINED,
    PLAIN,
    RCPT,
    SLOW_CHUNKS,
    Make,
    Seen,
    converse,
    leave,
    protocol,
    rcpts,
    send,
)
from tests.fakes.session import bytewise, cut

SIZE = b" SIZE=%d\r\n" % len(CONTENT)
SENT = CONTENT + b".\r\n"
CHUNK = b"BDAT %d LAST\r\n" % len(CONTENT) + CONTENT
QUIT = b"QUIT\r\n"
TO = RCPT % 1
R, D, B, O = Event.READY, Event.DONE, Event.BODY, Event.OVER  # noqa: E741
TAKEN = Outcome("relayed", 250, "2.0.0", "2.0.0 ok", "body", False)
REFUSED = Outcome("failed", 550, "5.1.1", "5.1.1 unknown", "rcpt", False)
FULL = b"452 4.5.3 too many\r\n"

Script = tuple[Sequence[bytes], Sequence[Any], dict[str, Any], bytes, list[Event], list[list[str]]]

SESSIONS: dict[str, Script] = {
    # what the server says, acts, options, what is written, events, statuses
    "one message": (
        [GREETING, PLAIN, OK, OK, GO_ON, OK, BYE],
        [send(), leave],
        {},
        EHLO + MAIL + SIZE + TO + b"DATA\r\n" + SENT + QUIT,
        [R, D, O],
        [["relayed"]],
    ),
    "two messages": (
        [GREETING, PLAIN, OK, OK, GO_ON, OK, OK, OK, GO_ON, OK, BYE],
        [send(), send(), leave],
        {},
        EHLO + (MAIL + SIZE + TO + b"DATA\r\n" + SENT) * 2 + QUIT,
        [R, D, D, O],
        [["relayed"], ["relayed"]],
    ),
    "pipelined": (
        [GREETING, PIPELINED, OK + OK + OK + GO_ON, OK, BYE],
        [send(2), leave],
        {},
        EHLO + MAIL + SIZE + TO + RCPT % 2 + b"DATA\r\n" + SENT + QUIT,
        [R, D, O],
        [["relayed", "relayed"]],
    ),
    "a body in pieces": (
        [GREETING, PIPELINED, OK + OK + GO_ON, OK, BYE],
        [send(body=None, size=22), leave],
        {"pieces": [b"a\r\n.b", b"\r", b"\n", b"..", b"c"]},
        EHLO + MAIL + b" SIZE=22\r\n" + TO + b"DATA\r\na\r\n..b\r\n...c\r\n.\r\n" + QUIT,
        [R, B, D, O],
        [["relayed"]],
    ),
    "an empty body": (
        [GREETING, PIPELINED, OK + OK + GO_ON, OK, BYE],
        [send(body=b"", size=0), leave],
        {},
        EHLO + MAIL + b" SIZE=0\r\n" + TO + b"DATA\r\n.\r\n" + QUIT,
        [R, D, O],
        [["relayed"]],
    ),
    "an empty body in pieces": (
        [GREETING, PIPELINED, OK + OK + GO_ON, OK, BYE],
        [send(body=None, size=0), leave],
        {"pieces": [b""]},
        EHLO + MAIL + b" SIZE=0\r\n" + TO + b"DATA\r\n.\r\n" + QUIT,
        [R, B, D, O],
        [["relayed"]],
    ),
    "one chunk with the envelope": (
        [GREETING, CHUNKED, OK + OK + OK, BYE],
        [send(), leave],
        {},
        EHLO + MAIL + b"\r\n" + TO + CHUNK + QUIT,
        [R, D, O],
        [["relayed"]],
    ),
    "DATA where chunks are offered and not wanted": (
        [GREETING, CHUNKED, OK + OK + GO_ON, OK, BYE],
        [send(), leave],
        {"early_chunk": 0},
        EHLO + MAIL + b"\r\n" + TO + b"DATA\r\n" + SENT + QUIT,
        [R, D, O],
        [["relayed"]],
    ),
    "binary, whole": (
        [GREETING, CHUNKED, OK + OK, OK, BYE],
        [send(body=b"\0\r\n.\xff\n", params={"BODY": "BINARYMIME"}), leave],
        {"early_chunk": 0},
        EHLO + MAIL + b" BODY=BINARYMIME\r\n" + TO + b"BDAT 6 LAST\r\n\0\r\n.\xff\n" + QUIT,
        [R, D, O],
        [["relayed"]],
    ),
    "binary, in pieces": (
        [GREETING, CHUNKED, OK + OK, OK + OK, BYE],
        [send(body=None, params={"BODY": "BINARYMIME"}), leave],
        {"pieces": [b"\r", b"\n"]},
        EHLO + MAIL + b" BODY=BINARYMIME\r\n" + TO + b"BDAT 1\r\n\rBDAT 1 LAST\r\n\n" + QUIT,
        [R, B, D, O],
        [["relayed"]],
    ),
    "binary, in pieces, each answered first": (
        [GREETING, SLOW_CHUNKS, OK, OK, OK, OK, OK, BYE],
        [send(body=None, params={"BODY": "BINARYMIME"}), leave],
        {"pieces": [b"\r", b"\n", b""]},
        EHLO + MAIL + b" BODY=BINARYMIME\r\n" + TO + b"BDAT 1\r\n\rBDAT 1\r\n\nBDAT 0 LAST\r\n" + QUIT,
        [R, B, B, B, D, O],
        [["relayed"]],
    ),
    "a chunk refused in the middle": (
        [GREETING, SLOW_CHUNKS, OK, OK, LATER, OK],
        [send(body=None, params={"BODY": "BINARYMIME"}), send()],
        {"pieces": [b"\r", b"\n"]},
        EHLO + MAIL + b" BODY=BINARYMIME\r\n" + TO + b"BDAT 1\r\n\rRSET\r\n" + MAIL + b"\r\n",
        [R, B, D],
        [["deferred"]],
    ),
    "a chunk refused while others are on their way": (
        [GREETING, CHUNKED, OK + OK, LATER + b"503 5.5.1 no\r\n", BYE],
        [send(body=None, params={"BODY": "BINARYMIME"}), leave],
        {"pieces": [b"\r", b"\n"]},
        EHLO + MAIL + b" BODY=BINARYMIME\r\n" + TO + b"BDAT 1\r\n\rBDAT 1 LAST\r\n\nQUIT\r\n",
        [R, B, D, O],
        [["deferred"]],
    ),
    "one recipient of two refused": (
        [GREETING, PLAIN, OK, NO, OK, GO_ON, OK, BYE],
        [send(2), leave],
        {},
        EHLO + MAIL + SIZE + TO + RCPT % 2 + b"DATA\r\n" + SENT + QUIT,
        [R, D, O],
        [["failed", "relayed"]],
    ),
    "no recipient taken": (
        [GREETING, PLAIN, OK, NO, OK, OK, OK, GO_ON, OK, BYE],
        [send(), send(), leave],
        {},
        EHLO + MAIL + SIZE + TO + b"RSET\r\n" + MAIL + SIZE + TO + b"DATA\r\n" + SENT + QUIT,
        [R, D, D, O],
        [["failed"], ["relayed"]],
    ),
    "no recipient taken, pipelined": (
        [GREETING, PIPELINED, OK + NO + b"554 5.5.1 nobody\r\n", OK + OK + OK + GO_ON, OK, BYE],
        [send(), send(), leave],
        {},
        EHLO + MAIL + SIZE + TO + b"DATA\r\nRSET\r\n" + MAIL + SIZE + TO + b"DATA\r\n" + SENT + QUIT,
        [R, D, D, O],
        [["failed"], ["relayed"]],
    ),
    "no recipient taken, and 354 all the same": (
        [GREETING, PIPELINED, OK + NO + GO_ON, b"554 5.5.1 nobody\r\n", BYE],
        [send(), leave],
        {},
        EHLO + MAIL + SIZE + TO + b"DATA\r\n.\r\n" + QUIT,
        [R, D, O],
        [["failed"]],
    ),
    "no recipient taken, with a chunk": (
        [GREETING, CHUNKED, OK + NO + b"503 5.5.1 nobody\r\n", OK + OK + OK + OK, BYE],
        [send(), send(), leave],
        {},
        EHLO + MAIL + b"\r\n" + TO + CHUNK + b"RSET\r\n" + MAIL + b"\r\n" + TO + CHUNK + QUIT,
        [R, D, D, O],
        [["failed"], ["relayed"]],
    ),
    "sender refused": (
        [GREETING, PLAIN, NO, OK, OK, GO_ON, OK, BYE],
        [send(2), send(), leave],
        {},
        EHLO + MAIL + SIZE + MAIL + SIZE + TO + b"DATA\r\n" + SENT + QUIT,
        [R, D, D, O],
        [["failed", "failed"], ["relayed"]],
    ),
    "sender refused, pipelined": (
        [GREETING, PIPELINED, NO + b"503 5.5.1 MAIL first\r\n" * 3, BYE],
        [send(2), leave],
        {},
        EHLO + MAIL + SIZE + TO + RCPT % 2 + b"DATA\r\n" + QUIT,
        [R, D, O],
        [["failed", "failed"]],
    ),
    "sender refused, with a chunk": (
        [GREETING, CHUNKED, NO + b"503 5.5.1 MAIL first\r\n" * 2, BYE],
        [send(), leave],
        {},
        EHLO + MAIL + b"\r\n" + TO + CHUNK + QUIT,
        [R, D, O],
        [["failed"]],
    ),
    "DATA refused": (
        [GREETING, PLAIN, OK, OK, LATER, OK, OK, OK, GO_ON, OK, BYE],
        [send(), send(), leave],
        {},
        EHLO + MAIL + SIZE + TO + b"DATA\r\nRSET\r\n" + MAIL + SIZE + TO + b"DATA\r\n" + SENT + QUIT,
        [R, D, D, O],
        [["deferred"], ["relayed"]],
    ),
    "body refused": (
        [GREETING, PIPELINED, OK + OK + GO_ON, NO, OK + OK + GO_ON, OK, BYE],
        [send(), send(), leave],
        {},
        EHLO + (MAIL + SIZE + TO + b"DATA\r\n" + SENT) * 2 + QUIT,
        [R, D, D, O],
        [["failed"], ["relayed"]],
    ),
    "too many recipients": (
        [GREETING, PIPELINED, OK + OK + OK + FULL + FULL + GO_ON, OK, BYE],
        [send(4), leave],
        {},
        EHLO + MAIL + SIZE + b"".join(RCPT % n for n in (1, 2, 3, 4)) + b"DATA\r\n" + SENT + QUIT,
        [R, D, O],
        [["relayed", "relayed", "again", "again"]],
    ),
    "too many from the first on is no reason to try again at once": (
        [GREETING, PIPELINED, OK + FULL + b"503 5.5.1 nobody\r\n", BYE],
        [send(), leave],
        {},
        EHLO + MAIL + SIZE + TO + b"DATA\r\n" + QUIT,
        [R, D, O],
        [["deferred"]],
    ),
    "limits are kept": (
        [
            GREETING,
            b"250-mx\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=2 MAILMAX=1\r\n",
            OK * 3 + GO_ON,
            OK,
            BYE,
        ],
        [send(3), leave],
        {},
        EHLO + MAIL + b"\r\n" + TO + RCPT % 2 + b"DATA\r\n" + SENT + QUIT,
        [R, D, O],
        [["relayed", "relayed", "again"]],
    ),
    "EHLO unknown": (
        [GREETING, b"502 5.5.1 what\r\n", OK, OK, OK, GO_ON, OK, BYE],
        [send(), leave],
        {},
        EHLO + b"HELO me.test\r\n" + MAIL + b"\r\n" + TO + b"DATA\r\n" + SENT + QUIT,
        [R, D, O],
        [["relayed"]],
    ),
    "codes that nobody has listed act by their first digit": (
        [
            b"299 hi\r\n",
            b"251-mx\r\n251 PIPELINING\r\n",
            b"277 a\r\n266 b\r\n466 c\r\n577 d\r\n355 e\r\n",
            b"244 f\r\n",
            b"200 g\r\n",
        ],
        [send(3), leave],
        {},
        EHLO + MAIL + b"\r\n" + TO + RCPT % 2 + RCPT % 3 + b"DATA\r\n" + SENT + QUIT,
        [R, D, O],
        [["relayed", "deferred", "failed"]],
    ),
    "LMTP": (
        [GREETING, PIPELINED, OK + OK + NO + OK + GO_ON, OK, LATER, BYE],
        [send(3), leave],
        {"lmtp": True},
        b"LHLO me.test\r\n" + MAIL + SIZE + TO + RCPT % 2 + RCPT % 3 + b"DATA\r\n" + SENT + QUIT,
        [R, D, O],
        [["delivered", "failed", "deferred"]],
    ),
    "LMTP by chunk": (
        [GREETING, CHUNKED, OK + OK + OK, OK + LATER, BYE],
        [send(2, params={"BODY": "BINARYMIME"}), leave],
        {"lmtp": True},
        b"LHLO me.test\r\n" + MAIL + b" BODY=BINARYMIME\r\n" + TO + RCPT % 2 + CHUNK + QUIT,
        [R, D, O],
        [["delivered", "deferred"]],
    ),
    "LMTP, nobody taken and 354 all the same": (
        [GREETING, PIPELINED, OK + NO + GO_ON, BYE],
        [send(), leave],
        {"lmtp": True},
        b"LHLO me.test\r\n" + MAIL + SIZE + TO + b"DATA\r\n.\r\n" + QUIT,
        [R, D, O],
        [["failed"]],
    ),
    "STARTTLS": (
        [GREETING, b"250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n", OK, PLAIN, OK, OK, GO_ON, OK, BYE],
        [lambda client: client.starttls(), send(), leave],
        {},
        EHLO + b"STARTTLS\r\n<tls>" + EHLO + MAIL + SIZE + TO + b"DATA\r\n" + SENT + QUIT,
        [R, Event.TLS_GO, R, D, O],
        [["relayed"]],
    ),
    "STARTTLS refused": (
        [GREETING, b"250-mx\r\n250 STARTTLS\r\n", b"454 4.7.0 not now\r\n", OK, OK, GO_ON, OK, BYE],
        [lambda client: client.starttls(), send(), leave],
        {},
        EHLO + b"STARTTLS\r\n" + MAIL + b"\r\n" + TO + b"DATA\r\n" + SENT + QUIT,
        [R, Event.REFUSED, D, O],
        [["relayed"]],
    ),
    "a bare LF ends a reply line too": (
        [b"220 mx\n", b"250-mx\n250 PIPELINING\n", b"250\n250\n354\n", b"250\n", b"221\n"],
        [send(), leave],
        {},
        EHLO + MAIL + b"\r\n" + TO + b"DATA\r\n" + SENT + QUIT,
        [R, D, O],
        [["relayed"]],
    ),
}


@pytest.fixture(params=IMPLEMENTATIONS)
def make(request: pytest.FixtureRequest) -> Make:
    return protocol(request.param)


def check(make: Make, name: str, **more: Any) -> Seen:
    says, acts, options, written, events, statuses = SESSIONS[name]
    seen = converse(make, says, acts, **options, **more)
    assert seen.written == written
    assert seen.events == events
    assert seen.statuses == statuses
    return seen


@pytest.mark.parametrize("name", SESSIONS)
def test_session_whole(make: Make, name: str) -> None:
    assert check(make, name).trouble is None


@pytest.mark.parametrize("name", SESSIONS)
def test_session_byte_by_byte(make: Make, name: str) -> None:
    check(make, name, cut=bytewise)


@pytest.mark.parametrize("name", SESSIONS)
def test_session_cut_at_every_position(make: Make, name: str) -> None:
    longest = max(len(said) for said in SESSIONS[name][0])
    for place in range(1, longest):
        check(make, name, cut=lambda said, place=place: cut(said, [place]) if place < len(said) else [said])


def test_an_outcome_has_the_servers_words(make: Make) -> None:
    seen = converse(make, [GREETING, PIPELINED, OK + OK + NO + GO_ON, OK], [send(2)])
    assert seen.outcomes == [[TAKEN, REFUSED]]


def test_a_server_that_takes_over_dsn_has_delivered(make: Make) -> None:
    to = [Recipient("b@there.test", "", {"NOTIFY": "SUCCESS,DELAY", "ORCPT": "rfc822;x+2B@y.test"})]
    params = {"RET": "HDRS", "ENVID": "q+3D1", "BODY": "8BITMIME"}
    seen = converse(
        make,
        [GREETING, b"250-mx\r\n250-DSN\r\n250 8BITMIME\r\n", OK, OK, GO_ON, OK],
        [send(to=to, params=params)],
    )
    assert seen.written == (
        EHLO
        + MAIL
        + b" BODY=8BITMIME RET=HDRS ENVID=q+3D1\r\n"
        + b"RCPT TO:<b@there.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2B@y.test\r\nDATA\r\n"
        + SENT
    )
    assert seen.statuses == [["delivered"]]


def test_many_recipients_go_in_windows(make: Make) -> None:
    client = make(b"me.test")
    client.receive(GREETING)
    client.receive(PIPELINED)
    out = client.begin("a@here.test", rcpts(250), None, len(CONTENT), CONTENT)
    assert out.count(b"RCPT") == 100
    assert b"DATA" not in out
    answered = on_way = 0
    written = out.count(b"\r\n")
    while b"DATA" not in out:
        out = client.receive(OK)
        answered += 1
        written += out.count(b"\r\n")
        on_way = max(on_way, written - answered)
    assert written == 252
    assert on_way <= 102
    assert client.receive(OK * (251 - answered) + GO_ON) == SENT
    client.receive(OK)
    assert client.event == Event.DONE
    assert {outcome.status for outcome in client.outcomes} == {"relayed"}


def test_a_sender_refused_stops_the_windows(make: Make) -> None:
    client = make(b"me.test")
    client.receive(GREETING)
    client.receive(PIPELINED)
    client.begin("a@here.test", rcpts(250), None, len(CONTENT), CONTENT)
    assert client.receive(NO + b"503 5.5.1 MAIL first\r\n" * 100) == b""
    assert client.event == Event.DONE
    assert {outcome.stage for outcome in client.outcomes} == {"mail"}


def test_a_body_that_is_too_large_waits_for_its_recipients(make: Make) -> None:
    for more, early in ((0, True), (1, False)):
        body = b"x" * (EARLY_CHUNK - 2 + more) + b"\r\n"
        client = make(b"me.test")
        client.receive(GREETING)
        client.receive(CHUNKED)
        out = client.begin("a@here.test", rcpts(1), None, len(body), body)
        assert out.endswith(b"DATA\r\n") is not early
        assert out.endswith(b"LAST\r\n" + body) is early


def test_only_the_given_size_of_a_shared_buffer_is_read(make: Make) -> None:
    client = make(b"x")
    assert client.receive(memoryview(bytearray(GREETING + b"garbage")), len(GREETING)) == b"EHLO x\r\n"
    assert client.event == Event.NOTHING


def test_stage_and_limits(make: Make) -> None:
    client = make(b"x")
    stages = [client.stage]
    for said in (GREETING, b"250-mx\r\n250 LIMITS MAILMAX=1\r\n"):
        client.receive(said)
        stages.append(client.stage)
    assert not client.spent
    client.begin("a@here.test", rcpts(1), None, len(CONTENT), CONTENT)
    for said in (b"", OK, OK, GO_ON, OK):
        client.receive(said)
        stages.append(client.stage)
    assert stages == ["connect", "helo", "idle", "mail", "rcpt", "data", "body", "idle"]
    assert client.spent


def test_what_is_not_the_turn_of_is_an_error(make: Make) -> None:
    client = make(b"x")
    for act in (client.starttls, client.quit, lambda: client.auth(None)):
        with pytest.raises(RuntimeError):
            act()
    with pytest.raises(RuntimeError):
        client.tls_done()
    with pytest.raises(RuntimeError):
        client.begin("a@b.test", rcpts(1), None, 1, b"x")
    client.receive(GREETING)
    client.receive(PLAIN)
    with pytest.raises(RuntimeError):
        client.begin("a@b.test", [], None, 1, b"x")


def test_a_body_nobody_waits_for_is_not_taken(make: Make) -> None:
    client = make(b"x")
    client.receive(GREETING)
    client.receive(PLAIN)
    assert client.body(b"x", True) == []


def test_a_clean_piece_is_handed_on_as_it_is(make: Make) -> None:
    client = make(b"x")
    client.receive(GREETING)
    client.receive(PIPELINED)
    client.begin("a@here.test", rcpts(1), None, len(CONTENT))
    client.receive(OK + OK + GO_ON)
    piece = memoryview(CONTENT)
    parts = client.body(piece, True)
    assert b"".join(parts) == SENT
    assert (
        _core.COMPILED is False
        or not type(client).__module__.startswith("fastsmtp._core")
        or parts[0] is piece
    )


def test_the_core_that_is_chosen_is_the_one_in_use() -> None:
    module = "fastsmtp._core.outgoing" if _core.COMPILED else "fastsmtp.smtp.outgoing"
    assert OutgoingProtocol.__module__ == module


def test_eight_bit_content_is_converted_for_a_server_that_takes_none(make: Make) -> None:
    body = b"Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\nMIME-Version: 1.0\r\n\r\n.\xc3\xa9\r\n"
    seen = converse(
        make, [GREETING, b"250 mx\r\n", OK, OK, GO_ON, OK], [send(body=body, params={"BODY": "8BITMIME"})]
    )
    assert seen.written == (
        EHLO
        + MAIL
        + b"\r\n"
        + TO
        + b"DATA\r\n"
        + body.split(b"\r\n\r\n")[0]
        + b"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n..=C3=A9\r\n.\r\n"
    )
    assert seen.statuses == [["relayed"]]
    seen = converse(make, [GREETING, b"250 mx\r\n"], [send(body=b"Subject: \xe9\r\n\r\nx\r\n")])
    assert seen.outcomes[0][0].enhanced == "5.6.3"
