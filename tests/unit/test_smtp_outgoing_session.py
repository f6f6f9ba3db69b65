"""The plain session without transactions: how replies are read, and what ends it."""

import pytest

from fastsmtp.smtp.outgoing_session import NOT_SMTP, TOO_LONG, UNASKED, WRONG, OutgoingSession
from fastsmtp.smtp.outgoing_values import LINE_LIMIT, REPLY_LINES, Event


def session(*replies: bytes, lmtp: bool = False) -> OutgoingSession:
    one = OutgoingSession(b"mx.example.org", lmtp=lmtp, encrypted=False)
    for reply in replies:
        one.receive(reply)
    return one


def why(one: OutgoingSession) -> str:
    assert one.event is Event.OVER
    assert one.trouble is not None
    return one.trouble.text


READY = (b"220 far.test\r\n", b"250-far.test\r\n250-SIZE 1000\r\n250 STARTTLS\r\n")


def test_it_says_hello_and_hears_what_is_offered() -> None:
    one = session()
    assert one.stage == "connect"
    assert one.receive(b"220-far.test\r\n220 really\r\n") == b"EHLO mx.example.org\r\n"
    assert one.receive(READY[1]) == b""
    assert one.event is Event.READY
    assert "STARTTLS" in one.offer.keywords
    assert session(lmtp=True).receive(READY[0]) == b"LHLO mx.example.org\r\n"


def test_helo_where_ehlo_is_not_known_but_not_for_lmtp() -> None:
    one = session(READY[0])
    assert one.receive(b"502 what?\r\n") == b"HELO mx.example.org\r\n"
    one.receive(b"250 far.test\r\n")
    assert one.event is Event.READY
    assert not one.offer.keywords
    assert session(READY[0], b"502 what?\r\n", lmtp=True).event is Event.OVER


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (b"hello\r\n", NOT_SMTP),
        (b"220-a\r\n250 b\r\n", NOT_SMTP),
        (b"354 go\r\n", WRONG),
        (b"220 " + b"x" * LINE_LIMIT, TOO_LONG),
        (b"220-x\r\n" * REPLY_LINES, TOO_LONG),
    ],
)
def test_nonsense_ends_it(said: bytes, text: str) -> None:
    assert text in why(session(said))


def test_talk_that_nobody_asked_for_ends_it() -> None:
    one = session(*READY)
    one.receive(b"250 and another thing\r\n")
    assert UNASKED in why(one)
    one = session(READY[0], READY[1] + b"250 prepared\r\n")
    assert one.starttls() == b""
    assert UNASKED in why(one)


def test_what_comes_in_clear_behind_starttls_ends_it() -> None:
    one = session(*READY)
    assert one.starttls() == b"STARTTLS\r\n"
    one.receive(b"220 go\r\n250-far.test\r\n")
    assert UNASKED in why(one)
    one = session(*READY)
    one.starttls()
    one.receive(b"220 go\r\n")
    assert one.event is Event.TLS_GO
    assert one.tls_done() == b"EHLO mx.example.org\r\n"
    assert not one.offer.keywords, "what was offered in clear is forgotten"


def test_421_and_a_lost_connection_end_it_and_a_goodbye_is_no_trouble() -> None:
    one = session(*READY)
    one.receive(b"421 4.3.2 going down\r\n")
    assert "going down" in why(one)
    one = session(READY[0])
    one.end("connection reset")
    assert "connection reset" in why(one)
    one = session(*READY)
    assert one.quit() == b"QUIT\r\n"
    one.end()
    assert one.event is Event.OVER
    assert one.trouble is None
    with pytest.raises(RuntimeError, match="ready"):
        one.quit()
