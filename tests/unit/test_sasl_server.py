"""PLAIN and LOGIN from the server's side."""

import pytest

from fastsmtp.sasl.server import LONGEST_NAME, LoginServer, Malformed, Password, PlainServer, text


@pytest.mark.parametrize(
    ("message", "login", "password", "authorization"),
    [
        (b"\0tim\0tanstaaftanstaaf", "tim", b"tanstaaftanstaaf", ""),  # RFC 4616 §4
        (b"Ursel\0Kurt\0xipj3plmq", "Kurt", b"xipj3plmq", "Ursel"),
        ("\0jürgen\0\u20ac".encode(), "jürgen", "\u20ac".encode(), ""),
        (b"\0a\0\xff", "a", b"\xff", ""),  # a password that is not UTF-8 is for the accounts to judge
        (b"\0" + b"a" * LONGEST_NAME + b"\0p", "a" * LONGEST_NAME, b"p", ""),
        (b"\0a\0" + b"p" * 9000, "a", b"p" * 9000, ""),
    ],
)
def test_plain(message: bytes, login: str, password: bytes, authorization: str) -> None:
    plain = PlainServer()
    assert plain.start() == b""
    assert plain.receive(message) == Password(login, password, authorization)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0",
        b"\0\0",
        b"user",
        b"\0user\0",
        b"\0\0secret",
        b"\0user\0secret\0",
        b"user\0secret",
        b"\0a\0b\0secret",
        b"\0\xff\0secret",
        b"\xc3\x28\0user\0secret",
        b"\0" + b"a" * (LONGEST_NAME + 1) + b"\0secret",
        b"a" * (LONGEST_NAME + 1) + b"\0user\0secret",
    ],
)
def test_plain_that_is_none(message: bytes) -> None:
    with pytest.raises(Malformed, match=r"^PLAIN: ") as told:
        PlainServer().receive(message)
    assert "secret" not in str(told.value)


def test_login() -> None:
    login = LoginServer()
    assert login.start() == b"Username:"
    assert login.receive(b"alice") == b"Password:"
    assert login.receive(b"s\0\xff") == Password("alice", b"s\0\xff", "")


@pytest.mark.parametrize("message", [b"", b"\xff", b"al\0ice", b"a" * (LONGEST_NAME + 1)])
def test_login_with_a_bad_name(message: bytes) -> None:
    with pytest.raises(Malformed, match=r"^LOGIN: "):
        LoginServer().receive(message)


def test_login_without_a_password() -> None:
    login = LoginServer()
    login.receive(b"alice")
    with pytest.raises(Malformed, match="missing"):
        login.receive(b"")


def test_nothing_shows_a_password() -> None:
    assert "secret" not in repr(Password("alice", b"secret", ""))
    assert text("ü".encode(), "X") == "ü"
