"""Other protocols on an SMTP port: the compiled dialogue and its plain twin."""

from collections.abc import Callable
from typing import Any

import pytest

from fastsmtp.mail import reply
from tests.fakes.session import IMPLEMENTATIONS, bytewise, converse

Make = Callable[..., Any]

EHLO = b"EHLO client.test\r\n"
MAIL = b"MAIL FROM:<a@b.test>\r\n"


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def make(request: pytest.FixtureRequest) -> Make:
    return IMPLEMENTATIONS[request.param]


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\nHost: mx.test\r\n\r\n",
        b"POST / HTTP/1.1\r\n",
        b"PUT /\r\n",
        b"HEAD / HTTP/1.0\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"CONNECT mx.test:25 HTTP/1.1\r\n\r\n",
        b"DELETE /x HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n",
    ],
)
def test_other_protocols_are_shown_the_door(make: Make, first: bytes) -> None:
    for pieces in ([first], bytewise(first)):
        said, events, closing = converse(make, [*pieces, EHLO + MAIL])
        assert said == reply.NOT_SMTP.wire
        assert closing
        assert events == []


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\r\n"])
def test_only_the_first_line_tells_the_protocol(make: Make, first: bytes) -> None:
    said, _, closing = converse(make, [b"NOOP\r\n" + first])
    assert said == reply.OK.wire + reply.UNKNOWN_COMMAND.wire
    assert not closing


@pytest.mark.parametrize("middle", [b"GET / HTTP/1.1", b"\x16\x03\x01"])
def test_the_middle_of_a_long_first_line_is_not_its_beginning(make: Make, middle: bytes) -> None:
    whole = b"x" * 3000 + middle + b"\r\n"
    expected = (reply.LINE_TOO_LONG.wire, [], False)
    assert converse(make, [whole]) == expected
    assert converse(make, [whole[:3000], whole[3000:]]) == expected
