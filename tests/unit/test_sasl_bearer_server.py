"""OAUTHBEARER and XOAUTH2 from the server's side."""

import json

import pytest

from fastsmtp.sasl.bearer_server import LONGEST_TOKEN, OauthBearerServer, Xoauth2Server
from fastsmtp.sasl.server import Failed, Malformed, Token

TOKEN = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
EXAMPLE = f"n,a=user@example.com,\1host=server.example.com\1port=587\1auth=Bearer {TOKEN}\1\1".encode()


def test_the_example_of_rfc_7628() -> None:
    bearer = OauthBearerServer()
    assert bearer.start() == b""
    assert bearer.receive(EXAMPLE) == Token(TOKEN, "user@example.com")
    refusal = bearer.refuse()
    assert json.loads(refusal)["status"] == "invalid_token"
    assert isinstance(bearer.receive(b"\1"), Failed)


@pytest.mark.parametrize(
    ("message", "token", "authorization"),
    [
        (b"n,,\1auth=Bearer abc\1\1", "abc", ""),
        (b"y,,\1auth=bearer  abc\1\1", "abc", ""),
        (b"n,a=a=3Db=2Cc,\1auth=BEARER a.b-c_~+/=\1x=y\1\1", "a.b-c_~+/=", "a=b,c"),
        (b"n,a=user@example.com,\1host=server.example.com\1port=143\1auth=\1\1", "", "user@example.com"),
    ],
)
def test_oauthbearer(message: bytes, token: str, authorization: str) -> None:
    assert OauthBearerServer().receive(message) == Token(token, authorization)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\1",
        b"\1\1",
        b"n,,",
        b"n,,\1",
        b"n,,\1\1",
        b"n,,\1auth=Bearer secret",
        b"n,,\1auth=Bearer secret\1",
        b"n,,\1auth=Bearer secret\1\1\1",
        b"n,,auth=Bearer secret\1\1",
        b"n,,xauth=Bearer secret\1\1",
        b"n,,\1auth=Bearer secret\1x\1y",
        b"auth=Bearer secret\1\1",
        b"p=tls-server-end-point,,\1auth=Bearer secret\1\1",
        b"n,,\1auth=Basic secret\1\1",
        b"n,,\1auth=Bearer\1\1",
        b"n,,\1auth=Bearer \1\1",
        b"n,,\1auth=Bearer sec ret\1\1",
        b"n,,\1auth=Bearer secret\0\1\1",
        b"n,,\1auth=Bearer secret\xff\1\1",
        b"n,,\1auth=Bearer =secret\1\1",
        b"n,,\1auth=Bearer secret\1auth=Bearer x\1\1",
        b"n,,\1au-th=secret\1\1",
        b"n,,\1secret\1\1",
        b"n,,\1host=secret\1\1",
        b"n,a=\xff,\1auth=Bearer secret\1\1",
        b"n,,\1auth=Bearer " + b"s" * (LONGEST_TOKEN + 1) + b"\1\1",
    ],
)
def test_oauthbearer_that_is_none(message: bytes) -> None:
    with pytest.raises(Malformed, match=r"^OAUTHBEARER: ") as told:
        OauthBearerServer().receive(message)
    assert "secret" not in str(told.value)


def test_xoauth2() -> None:
    bearer = Xoauth2Server()
    assert bearer.start() == b""
    assert bearer.receive(b"user=someuser@example.com\1auth=Bearer ya29.vF9\1\1") == Token(
        "ya29.vF9", "someuser@example.com"
    )
    assert json.loads(bearer.refuse()) == {"status": "401", "schemes": "bearer"}
    assert isinstance(bearer.receive(b""), Failed)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"user=\1auth=Bearer secret\1\1",
        b"user=a",
        b"user=a\1",
        b"user=a\1\1",
        b"user=a\1auth=\1\1",
        b"user=a\1auth=Bearer secret\1",
        b"user=a\1auth=Bearer secret",
        b"user=a\1auth=secret\1\1",
        b"user=a\1x=secret\1\1",
        b"auth=Bearer secret\1user=a\1\1",
        b"user=\xff\1auth=Bearer secret\1\1",
        b"user=a\0b\1auth=Bearer secret\1\1",
        b"n,,\1auth=Bearer secret\1\1",
    ],
)
def test_xoauth2_that_is_none(message: bytes) -> None:
    with pytest.raises(Malformed, match=r"^XOAUTH2: ") as told:
        Xoauth2Server().receive(message)
    assert "secret" not in str(told.value)


def test_nothing_shows_a_token() -> None:
    assert "secret" not in repr(Token("secret", "a"))
