"""The GS2 header."""

import pytest

from fastsmtp.sasl.gs2 import header, saslname
from fastsmtp.sasl.server import Malformed


@pytest.mark.parametrize(
    ("message", "flag", "binding", "authorization", "length"),
    [
        (b"n,,n=user", "n", "", "", 3),
        (b"y,,", "y", "", "", 3),
        (b"p=tls-server-end-point,,n=user", "p", "tls-server-end-point", "", 24),
        (b"n,a=user@example.com,\1", "n", "", "user@example.com", 21),
        (b"n,a=a=3Db=2Cc,x", "n", "", "a=b,c", 14),
        ("n,a=jürgen,".encode(), "n", "", "jürgen", 12),
    ],
)
def test_headers(message: bytes, flag: str, binding: str, authorization: str, length: int) -> None:
    found = header(message, "X")
    assert (found.flag, found.binding, found.authorization) == (flag, binding, authorization)
    assert found.octets == message[:length]


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n",
        b"n,",
        b",,",
        b"x,,n=user",
        b"N,,n=user",
        b"n,n=user",
        b"n,a=,n=user",
        b"n,b=user,n=user",
        b"p,,n=user",
        b"p=,,n=user",
        b"p=a b,,n=user",
        b"p=" + b"x" * 65 + b",,",
        b"F,n,,n=user",  # RFC 5801 §4: a flag of mechanisms that are not standard
        b"n,a=us=er,",
        b"n,a==2D,",
        b"n,a=x=2c,",
        b"n,a=\xff,",
        b"n,a=a\0b,",
        b"n,a=" + b"x" * 1025 + b",",
    ],
)
def test_headers_that_are_none(message: bytes) -> None:
    with pytest.raises(Malformed, match=r"^X: "):
        header(message, "X")


def test_names() -> None:
    assert saslname(b"=2C=3D", "X") == ",="
    for bad in (b"", b"=", b"a,b", b"=2", b"=2D", b"=3d"):
        with pytest.raises(Malformed):
            saslname(bad, "X")
