"""The load generator's STARTTLS and logins as text."""

import base64

import pytest

from fastsmtp.loadgen.opening import LINE_LIMIT, Opening, Stage
from fastsmtp.loadgen.plan import Login

PLAIN = base64.b64encode(b"\0alice\0secret")


def opening(*, implicit: bool = False, starttls: bool = False, by: str | None = None) -> Opening:
    login = None if by is None else Login("alice", "secret", by)
    return Opening(b"me.example", implicit=implicit, starttls=starttls, login=login)


def test_starttls_asks_for_the_handshake_and_greets_anew() -> None:
    one = opening(starttls=True)
    assert one.receive(b"220-mx\r\n220 here\r\n") == b"EHLO me.example\r\n"
    assert one.receive(b"250-mx\r\n250 STARTTLS\r\n") == b"STARTTLS\r\n"
    assert one.receive(b"220 go ahead\r\n") == b""
    assert one.stage.name == "TLS"
    assert one.secured() == b"EHLO me.example\r\n"
    assert one.receive(b"250-mx\r\n250 AUTH PLAIN\r\n") == b""
    assert one.stage is Stage.DONE
    assert one.greeting == b"220-mx\r\n220 here\r\n"
    assert one.offer == b"250-mx\r\n250 AUTH PLAIN\r\n", "that of the secured session"


def test_what_was_said_in_clear_after_starttls_is_forgotten() -> None:
    one = opening(starttls=True)
    one.receive(b"220 mx\r\n")
    one.receive(b"250 STARTTLS\r\n")
    one.receive(b"220 go ahead\r\n250 SMUGGLED\r\n")
    one.secured()
    assert one.receive(b"250 mx\r\n") == b""
    assert one.offer == b"250 mx\r\n"


def test_with_tls_from_the_start_the_greeting_comes_after_the_handshake() -> None:
    one = opening(implicit=True)
    assert one.stage.name == "TLS"
    assert one.secured() == b""
    assert one.receive(b"220 mx\r\n") == b"EHLO me.example\r\n"
    assert one.receive(b"250 mx\r\n") == b""
    assert one.stage is Stage.DONE


def test_replies_may_come_in_pieces() -> None:
    one = opening(by="PLAIN")
    assert one.receive(b"22") == b""
    assert one.receive(b"0 mx\r\n") == b"EHLO me.example\r\n"
    assert one.receive(b"250-mx\r\n250 AU") == b""
    assert one.receive(b"TH PLAIN\r\n") == b"AUTH PLAIN " + PLAIN + b"\r\n"
    assert one.receive(b"235 ok\r\n") == b""
    assert one.stage is Stage.DONE


def test_login_answers_two_questions() -> None:
    one = opening(by="LOGIN")
    one.receive(b"220 mx\r\n")
    assert one.receive(b"250 AUTH LOGIN\r\n") == b"AUTH LOGIN\r\n"
    assert one.receive(b"334 VXNlcm5hbWU6\r\n") == base64.b64encode(b"alice") + b"\r\n"
    assert one.receive(b"334 UGFzc3dvcmQ6\r\n") == base64.b64encode(b"secret") + b"\r\n"
    assert one.receive(b"235 ok\r\n") == b""
    assert one.stage is Stage.DONE


def test_a_server_that_proves_nothing_is_not_believed() -> None:
    one = opening(by="SCRAM-SHA-256")
    one.receive(b"220 mx\r\n")
    assert one.receive(b"250 AUTH\r\n").startswith(b"AUTH SCRAM-SHA-256 ")
    one.receive(b"235 ok\r\n")
    assert one.refusal == ("auth", b"the server has not proven that it knows the password")


@pytest.mark.parametrize(
    ("said", "refusal"),
    [
        ([b"554 no\r\n"], ("connect", b"554 no")),
        ([b"220 mx\r\n", b"250-mx\r\n502 no\r\n"], ("helo", b"502 no")),
        ([b"220 mx\r\n", b"250 mx\r\n", b"454 later\r\n"], ("starttls", b"454 later")),
        ([b"\x16\x03\x01\r\n"], ("connect", b"not an SMTP reply")),
        ([b"2" * (LINE_LIMIT + 1)], ("connect", b"not an SMTP reply")),
        ([b"22\r\n"], ("connect", b"not an SMTP reply")),
    ],
)
def test_another_reply_ends_it_with_stage_and_line(said: list[bytes], refusal: tuple[str, bytes]) -> None:
    one = opening(starttls=True)
    for piece in said:
        one.receive(piece)
    assert (one.stage, one.refusal) == (Stage.OVER, refusal)
    one.end()
    assert one.refusal == refusal, "the end of the connection tells nothing more"


@pytest.mark.parametrize(
    ("reply", "why"), [(b"535 5.7.8 no\r\n", b"535 5.7.8 no"), (b"334 *\r\n", b"base64"), (b"334 \r\n", b"")]
)
def test_a_login_that_fails(reply: bytes, why: bytes) -> None:
    one = opening(by="PLAIN")
    one.receive(b"220 mx\r\n")
    one.receive(b"250 AUTH PLAIN\r\n")
    one.receive(reply)
    assert one.stage is Stage.OVER
    assert one.refusal is not None
    assert one.refusal[0] == "auth"
    assert b"secret" not in one.refusal[1]
    if why.startswith(b"535"):
        assert one.refusal[1] == why


def test_the_end_of_the_connection_and_a_failed_handshake() -> None:
    one = opening()
    one.end()
    assert one.refusal == ("connect", b"connection closed")
    other = opening(implicit=True)
    other.fail("wrong version number")
    assert other.refusal == ("tls", b"wrong version number")


def test_a_login_shows_no_password() -> None:
    assert "secret" not in repr(Login("alice", "secret"))
