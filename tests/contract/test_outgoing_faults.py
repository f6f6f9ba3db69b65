"""What a server can do wrong, at every stage, and the state that each leads to: compiled and plain under the same
tests, whole and byte by byte."""

from collections.abc import Sequence
from typing import Any

import pytest

from fastsmtp.mail.result import TEXT_LIMIT
from fastsmtp.sasl.client import Credentials, Plain
from fastsmtp.smtp.outgoing_values import LINE_LIMIT, REPLY_LINES, Event, Outcome
from tests.fakes.outgoing import (
    CHUNKED,
    CONTENT,
    GO_ON,
    GREETING,
    IMPLEMENTATIONS,
    NO,
    OK,
    PIPELINED,
    PLAIN,
    Act,
    Make,
    Seen,
    converse,
    protocol,
    rcpts,
    send,
    whole,
)
from tests.fakes.session import bytewise


def to_tls(client: Any) -> bytes:
    return bytes(client.starttls())


def log_in(client: Any) -> bytes:
    return bytes(client.auth(Plain(Credentials("u", password="p"))))


TWO = send(2)
STREAM = send(2, body=None)

STAGES: dict[str, tuple[Sequence[bytes], Sequence[Act], dict[str, Any], list[str]]] = {
    # name: what is said before, the acts, options, the recipients' statuses when the session breaks here
    "connect": ([], [], {}, []),
    "helo": ([GREETING], [], {}, []),
    "helo after EHLO": ([GREETING, b"502 what\r\n"], [], {}, []),
    "starttls": ([GREETING, PLAIN], [to_tls], {}, []),
    "helo after TLS": ([GREETING, PLAIN, OK], [to_tls], {}, []),
    "auth": ([GREETING, PLAIN], [log_in], {}, []),
    "rset": ([GREETING, PLAIN, OK, NO, NO], [TWO, TWO], {}, ["deferred"] * 2),
    "mail": ([GREETING, PLAIN], [TWO], {}, ["deferred"] * 2),
    "rcpt": ([GREETING, PLAIN, OK], [TWO], {}, ["deferred"] * 2),
    "rcpt, the second": ([GREETING, PLAIN, OK, NO], [TWO], {}, ["failed", "deferred"]),
    "data": ([GREETING, PLAIN, OK, OK, NO], [TWO], {}, ["deferred", "failed"]),
    "body": ([GREETING, PLAIN, OK, OK, NO, GO_ON], [TWO], {}, ["deferred", "failed"]),
    "mail, pipelined": ([GREETING, PIPELINED], [TWO], {}, ["deferred"] * 2),
    "rcpt, pipelined": ([GREETING, PIPELINED, OK + NO], [TWO], {}, ["failed", "deferred"]),
    "data, pipelined": ([GREETING, PIPELINED, OK + OK + NO], [TWO], {}, ["deferred", "failed"]),
    "body, pipelined": ([GREETING, PIPELINED, OK + OK + NO + GO_ON], [TWO], {}, ["deferred", "failed"]),
    "body in pieces": ([GREETING, PIPELINED, OK + OK + NO + GO_ON], [STREAM], {}, ["deferred", "failed"]),
    "body as a chunk": ([GREETING, CHUNKED, OK + OK + NO], [TWO], {}, ["deferred", "failed"]),
    "body, LMTP": (
        [GREETING, PIPELINED, OK + OK + OK + GO_ON, OK],
        [TWO],
        {"lmtp": True},
        ["delivered", "deferred"],
    ),
    "quit": ([GREETING, PLAIN], [lambda client: client.quit()], {}, []),
}

NONSENSE = {
    "garbage": b"HTTP/1.1 400 Bad Request\r\n",
    "an empty line": b"\r\n",
    "two digits": b"25\r\n",
    "letters in the code": b"2x0 ok\r\n",
    "no separator": b"250_ok\r\n",
    "four digits": b"2500 ok\r\n",
    "codes that change": b"250-ok\r\n251 ok\r\n",
    "class 0": b"050 ok\r\n",
    "class 1": b"150 ok\r\n",
    "class 6": b"650 ok\r\n",
    "class 9": b"999 ok\r\n",
    "binary": b"\x16\x03\x01\x02\x00\x01\n",
    "a line without end": b"250 " + b"x" * LINE_LIMIT + b"x",
    "a line that is too long": b"250 " + b"x" * LINE_LIMIT + b"\r\n",
    "lines without end": b"250-x\r\n" * REPLY_LINES,
    "long lines without end": (b"250-" + b"x" * 3000 + b"\r\n") * 11,
}


@pytest.fixture(params=IMPLEMENTATIONS)
def make(request: pytest.FixtureRequest) -> Make:
    return protocol(request.param)


def brought_to(make: Make, name: str, *more: bytes, cut: Any = whole, ends: bool = False) -> Seen:
    says, acts, options, _ = STAGES[name]
    return converse(make, [*says, *more], acts, cut=cut, ends=ends, **options)


def stage_of(name: str) -> str:
    return name.split(",")[0].split(" ")[0]


def check_over(seen: Seen, name: str) -> Outcome:
    """The session is over; every recipient has its outcome, and there is a reason."""
    assert seen.events[-1] is Event.OVER
    assert seen.trouble is not None
    assert seen.trouble.stage == stage_of(name)
    assert seen.trouble.text.isprintable()
    assert seen.trouble.text
    statuses = STAGES[name][3]
    assert seen.statuses[-1:] == ([statuses] if statuses else [])
    return seen.trouble


BEFORE_QUIT = [name for name in STAGES if name != "quit"]


@pytest.mark.parametrize("cut", [whole, bytewise])
@pytest.mark.parametrize("what", NONSENSE)
@pytest.mark.parametrize("name", BEFORE_QUIT)
def test_nonsense(make: Make, name: str, what: str, cut: Any) -> None:
    seen = brought_to(make, name, NONSENSE[what], cut=cut)
    trouble = check_over(seen, name)
    assert (trouble.status, trouble.code, trouble.enhanced, trouble.ours) == ("deferred", 0, "4.5.0", True)


@pytest.mark.parametrize("name", [name for name in BEFORE_QUIT if stage_of(name) not in ("data", "auth")])
def test_a_3xx_where_none_belongs(make: Make, name: str) -> None:
    trouble = check_over(brought_to(make, name, b"334 go\r\n"), name)
    assert (trouble.status, trouble.enhanced) == ("deferred", "4.5.0")


@pytest.mark.parametrize("name", [name for name in STAGES if stage_of(name) == "data"])
def test_a_2xx_where_3xx_belongs(make: Make, name: str) -> None:
    assert check_over(brought_to(make, name, OK), name).enhanced == "4.5.0"


@pytest.mark.parametrize("name", BEFORE_QUIT)
def test_421(make: Make, name: str) -> None:
    seen = brought_to(make, name, b"421-4.3.2 shutting\r\n421 4.3.2 down\r\n")
    trouble = check_over(seen, name)
    assert trouble[:4] == ("deferred", 421, "4.3.2", "4.3.2 shutting down")
    assert not trouble.ours


@pytest.mark.parametrize("half", [b"", b"25", b"250-ok\r\n25", b"250 ok"])
@pytest.mark.parametrize("name", BEFORE_QUIT)
def test_the_connection_is_lost(make: Make, name: str, half: bytes) -> None:
    seen = brought_to(make, name, half, ends=True)
    trouble = check_over(seen, name)
    assert trouble.status == "deferred"
    assert trouble.enhanced == "4.4.2"
    assert trouble.text.startswith("connection closed ")


def test_a_message_that_may_have_arrived_is_told_so(make: Make) -> None:
    trouble = brought_to(make, "body", ends=True).trouble
    assert trouble is not None
    assert (
        trouble.text
        == "connection closed after the message was sent and before the answer; it may have arrived"
    )
    client = make(b"me.test")
    client.receive(GREETING)
    client.receive(PIPELINED)
    client.begin("a@here.test", rcpts(1), None, 10)
    client.receive(OK + OK + GO_ON)
    client.body(b"half", False)
    client.end("no answer in time", "4.4.7")
    assert client.outcomes == [
        Outcome("deferred", 0, "4.4.7", "no answer in time while the message was sent", "body", True)
    ]


@pytest.mark.parametrize("answers", [[], [OK], [OK + OK]])
def test_a_message_that_went_with_its_envelope_may_have_arrived_before_mail_is_answered(
    make: Make, answers: list[bytes]
) -> None:
    for more, ends in (([], True), ([b"nonsense\r\n"], False)):
        seen = converse(make, [GREETING, CHUNKED, *answers, *more], [send(2)], ends=ends)
        assert {outcome.stage for outcome in seen.outcomes[0]} == {"body"}
        assert seen.trouble is not None
        assert seen.trouble.stage == "body"
        assert seen.trouble.text.endswith("it may have arrived") is ends
    refused = converse(make, [GREETING, CHUNKED, *answers, b"421 4.3.2 no\r\n"], [send(2)]).trouble
    assert refused is not None
    assert not refused.ours


@pytest.mark.parametrize("name", STAGES)
def test_4xx_and_5xx_at_every_stage_leave_a_documented_state(make: Make, name: str) -> None:
    for code, status in ((477, "deferred"), (577, "failed")):
        seen = brought_to(make, name, b"%d no\r\n" % code, ends=True)
        assert seen.events[-1] is Event.OVER
        told = [outcome for outcomes in seen.outcomes for outcome in outcomes if outcome.code == code]
        told += [outcome for outcome in (seen.trouble, seen.refusal) if outcome and outcome.code == code]
        if name in ("helo", "helo after TLS") and code == 577:
            assert seen.written.endswith(b"HELO me.test\r\n")
        elif name != "quit":
            assert told
            assert {outcome.status for outcome in told} == {
                "deferred" if stage_of(name) == "rset" else status
            }


def test_anything_ends_a_quit(make: Make) -> None:
    for answer in (OK, b"421 no\r\n", b"550 no\r\n"):
        seen = brought_to(make, "quit", answer)
        assert (seen.events[-1], seen.trouble) == (Event.OVER, None)
    assert brought_to(make, "quit", ends=True).trouble is None


@pytest.mark.parametrize("answer", [b"550 5.3.4 too big\r\n", b"451 4.3.0 later\r\n"])
def test_an_answer_before_the_end_of_the_body(make: Make, answer: bytes) -> None:
    client = make(b"me.test")
    client.receive(GREETING)
    client.receive(PIPELINED)
    client.begin("a@here.test", rcpts(2), None, 10)
    client.receive(OK + OK + NO + GO_ON)
    client.body(b"half", False)
    client.receive(answer)
    assert client.event == Event.OVER
    assert not client.open
    assert client.body(b"rest", True) == []
    assert client.outcomes[0].code == int(answer[:3])
    assert client.outcomes[1].code == 550


def test_a_yes_before_the_end_of_the_body_is_none(make: Make) -> None:
    client = make(b"me.test")
    client.receive(GREETING)
    client.receive(PIPELINED)
    client.begin("a@here.test", rcpts(1), None, 10)
    client.receive(OK + OK + GO_ON)
    client.body(b"half", False)
    client.receive(OK)
    assert client.outcomes[0][:3] == ("deferred", 0, "4.5.0")


def test_a_chunks_answer_before_the_chunk(make: Make) -> None:
    client = make(b"me.test")
    client.receive(GREETING)
    client.receive(CHUNKED)
    client.begin("a@here.test", rcpts(1), {"BODY": "BINARYMIME"}, 10)
    client.receive(OK + OK)
    assert client.event == Event.BODY
    client.receive(OK)
    assert client.event == Event.OVER
    assert client.outcomes[0].enhanced == "4.5.0"


def test_a_reply_behind_starttls_in_clear_is_fatal(make: Make) -> None:
    for injected in (b"250 x\r\n", b"2", b"\x16"):
        client = make(b"me.test")
        client.receive(GREETING)
        client.receive(PLAIN)
        client.starttls()
        assert client.receive(OK + injected) == b""
        assert client.event == Event.OVER
        assert client.trouble[:3] == ("deferred", 0, "4.5.0")


def test_what_was_offered_in_clear_is_forgotten(make: Make) -> None:
    client = make(b"me.test")
    client.receive(GREETING)
    client.receive(b"250-mx\r\n250-PIPELINING\r\n250-SIZE 5\r\n250 STARTTLS\r\n")
    client.starttls()
    client.receive(OK)
    assert client.tls_done() == b"EHLO me.test\r\n"
    assert client.offer.keywords == frozenset()
    client.receive(b"250 mx\r\n")
    assert client.begin("a@here.test", rcpts(1), None, 10, CONTENT) == b"MAIL FROM:<a@here.test>\r\n"


@pytest.mark.parametrize("unasked", [b"250 ok\r\n", b"25", b"550 no\r\n", b"x\r\n"])
def test_an_answer_that_came_before_its_question_is_not_taken_for_it(make: Make, unasked: bytes) -> None:
    for act in (send(), to_tls, log_in, lambda client: client.quit()):
        client = make(b"me.test")
        client.receive(GREETING)
        client.receive(PIPELINED + unasked)
        assert client.event == Event.READY
        assert act(client) == b""
        assert client.event == Event.OVER
        assert client.trouble[:3] == ("deferred", 0, "4.5.0")
        assert client.outcomes in ([], [client.trouble])


def test_a_goodbye_between_messages(make: Make) -> None:
    goodbye = b"421 4.4.2 idle\r\n"
    client = make(b"me.test")
    client.receive(GREETING)
    client.receive(PIPELINED)
    client.receive(goodbye)
    assert client.event == Event.OVER
    assert client.trouble == Outcome("deferred", 421, "4.4.2", "4.4.2 idle", "idle", False)
    client = make(b"me.test")
    client.receive(GREETING)
    client.receive(PIPELINED + goodbye)
    assert client.begin("a@here.test", rcpts(1), None, 10, CONTENT) == b""
    assert client.outcomes == [Outcome("deferred", 421, "4.4.2", "4.4.2 idle", "idle", False)]
    client = make(b"me.test")
    client.receive(GREETING)
    client.receive(PIPELINED + goodbye)
    client.end()
    assert client.trouble == Outcome("deferred", 421, "4.4.2", "4.4.2 idle", "idle", False)


def test_nothing_is_taken_after_the_end(make: Make) -> None:
    client = make(b"me.test")
    client.end()
    trouble = client.trouble
    assert client.receive(GREETING) == b""
    client.end("again")
    assert (client.event, client.stage, client.trouble) == (Event.OVER, "over", trouble)


def test_the_words_of_a_server_are_bounded_and_printable(make: Make) -> None:
    words = (
        b"550-5.1.1 \x1b[31mred\x00\xff\xe2\x80\xae\t"
        + "grün".encode()
        + b"\r\n550 5.1.1 "
        + b"x" * 3000
        + b"\r\n"
    )
    seen = converse(make, [GREETING, PLAIN, words], [send()])
    outcome = seen.outcomes[0][0]
    assert outcome.text.startswith("5.1.1 ?[31mred?\ufffd? grün xxx")
    assert len(outcome.text) == TEXT_LIMIT
    assert outcome.text.isprintable()


def test_a_body_that_may_not_be_sent_ends_the_session(make: Make) -> None:
    client = make(b"me.test")
    client.receive(GREETING)
    client.receive(PIPELINED)
    client.begin("a@here.test", rcpts(2), None, 10)
    client.receive(OK + OK + NO + GO_ON)
    assert client.body(b"good\r\n", False) == [b"good\r\n"]
    assert client.body(b"bad\n.\n", True) == []
    assert client.event == Event.OVER
    assert [outcome[:3] for outcome in client.outcomes] == [("failed", 0, "5.6.0"), ("failed", 550, "5.1.1")]
    seen = converse(make, [GREETING, PIPELINED], [send(body=b"bad\n"), send(body=b"good\r\n")])
    assert seen.events == [Event.READY, Event.DONE]
    assert seen.outcomes[0][0][:3] == ("failed", 0, "5.6.0")
    assert seen.written.count(b"MAIL") == 1


def test_a_body_is_mended_when_asked_to(make: Make) -> None:
    seen = converse(make, [GREETING, PIPELINED, OK + OK + GO_ON, OK], [send(body=b"a\n.\nb\r")], convert=True)
    assert seen.written.endswith(b"DATA\r\na\r\n..\r\nb\r\n.\r\n")
    assert seen.statuses == [["relayed"]]


def test_eight_bits_never_reach_a_server_that_has_not_asked_for_them(make: Make) -> None:
    client = make(b"me.test")
    client.receive(GREETING)
    client.receive(b"250 mx\r\n")
    client.begin("a@here.test", rcpts(1), {"BODY": "8BITMIME"}, 10)
    client.receive(OK)
    client.receive(OK)
    client.receive(GO_ON)
    assert client.body(b"a\r\n\xe9", False) == []
    assert client.outcomes[0][:3] == ("failed", 0, "5.6.3")


def test_a_body_that_cannot_be_had(make: Make) -> None:
    client = make(b"me.test")
    client.receive(GREETING)
    client.receive(PIPELINED)
    client.begin("a@here.test", rcpts(2), None, 10)
    client.receive(OK + OK + NO + GO_ON)
    client.body(b"half", False)
    client.abandon("the file cannot be read")
    assert client.event == Event.OVER
    assert client.outcomes[0] == Outcome("deferred", 0, "4.3.0", "the file cannot be read", "body", True)
    assert client.outcomes[1].code == 550


def test_bytes_held_are_bounded(make: Make) -> None:
    client = make(b"me.test")
    for _ in range(100):
        client.receive(b"2" * 1000)
    assert client.event == Event.OVER


AUTH_OFFERED = b"250-mx\r\n250 AUTH PLAIN LOGIN\r\n"


class Odd:
    """A mechanism that does what a test wants."""

    name = "ODD"

    def __init__(
        self, first: bytes | None = None, complete: bool = True, error: str = "", late: bool = False
    ) -> None:
        self.first, self.done, self.error, self.late = first, complete, error, late

    def start(self) -> bytes | None:
        return self.first

    def step(self, challenge: bytes) -> bytes | None:
        if self.error:
            raise ValueError(self.error)
        return None if self.late else b"<" + challenge + b">"

    def complete(self) -> bool:
        return self.done


def authenticate(make: Make, mechanism: Any, *answers: bytes) -> Seen:
    return converse(make, [GREETING, AUTH_OFFERED, *answers], [lambda client: client.auth(mechanism)])


def test_auth_with_an_initial_response(make: Make) -> None:
    seen = authenticate(make, Plain(Credentials("u", password="p")), b"235 2.7.0 welcome\r\n")
    assert seen.written.endswith(b"AUTH PLAIN AHUAcA==\r\n")
    assert seen.events == [Event.READY, Event.READY]


def test_auth_by_challenges(make: Make) -> None:
    seen = authenticate(make, Odd(), b"334 QQ==\r\n", b"334\r\n", b"235 2.7.0 welcome\r\n")
    assert seen.written.endswith(b"AUTH ODD\r\nPEE+\r\nPD4=\r\n")
    assert seen.events[-1] is Event.READY
    assert authenticate(make, Odd(b"")).written.endswith(b"AUTH ODD =\r\n")


def test_a_long_initial_response_waits_for_its_turn(make: Make) -> None:
    seen = authenticate(make, Odd(b"x" * 400), b"334 \r\n", b"235 ok\r\n")
    assert seen.written.count(b"AUTH ODD\r\neHh4") == 1
    seen = authenticate(make, Odd(b"x" * 400), b"334 QQ==\r\n", b"501 cancelled\r\n")
    assert seen.written.endswith(b"AUTH ODD\r\n*\r\n")


def test_auth_refused(make: Make) -> None:
    seen = authenticate(make, Plain(Credentials("u", password="p")), b"535 5.7.8 wrong\r\n")
    assert seen.events[-1] is Event.REFUSED
    assert seen.refusal == Outcome("failed", 535, "5.7.8", "5.7.8 wrong", "auth", False)


@pytest.mark.parametrize("challenge", [b"334 !\r\n", b"334 QQ\r\n"])
def test_a_challenge_that_is_none(make: Make, challenge: bytes) -> None:
    seen = authenticate(make, Odd(), challenge, b"501 5.7.0 cancelled\r\n")
    assert seen.written.endswith(b"*\r\n")
    assert seen.refusal == Outcome(
        "deferred", 0, "4.7.0", "AUTH ODD: a challenge is not base64", "auth", True
    )


def test_an_exchange_the_server_does_not_keep_to(make: Make) -> None:
    seen = authenticate(make, Odd(error="no"), b"334 QQ==\r\n", b"334 QQ==\r\n", b"235 welcome\r\n")
    assert seen.written.endswith(b"*\r\n*\r\n")
    assert seen.trouble == Outcome("deferred", 0, "4.7.0", "AUTH ODD: no", "auth", True)


def test_an_answer_that_takes_long(make: Make) -> None:
    mechanism = Odd(b"me", late=True)
    acts: list[Act] = [lambda client: client.auth(mechanism), lambda client: client.worked(b"<proof>")]
    seen = converse(make, [GREETING, AUTH_OFFERED, b"334 QQ==\r\n", b"235 welcome\r\n"], acts)
    assert seen.events == [Event.READY, Event.WORK, Event.READY]
    assert seen.written.endswith(b"AUTH ODD bWU=\r\nPHByb29mPg==\r\n")


@pytest.mark.parametrize("said", [b"334 QQ==\r\n", b"235 welcome\r\n", b"535 no\r\n", b"421 bye\r\n"])
def test_a_server_that_does_not_wait_for_it(make: Make, said: bytes) -> None:
    client = make(b"me.test")
    for line in (GREETING, AUTH_OFFERED):
        client.receive(line)
    client.auth(Odd(b"me", late=True))
    client.receive(b"334 QQ==\r\n")
    assert client.event == Event.WORK
    client.receive(said)
    event = client.event
    assert event in (Event.NOTHING, Event.REFUSED, Event.OVER), "success is not believed"
    assert client.worked(b"<proof>") == b""
    assert client.event == event


def test_success_too_early_is_not_believed(make: Make) -> None:
    seen = authenticate(make, Odd(complete=False), b"235 welcome\r\n")
    assert seen.events[-1] is Event.OVER
    assert seen.trouble is not None
    assert seen.trouble.text == "AUTH ODD: success came before the exchange was complete"
