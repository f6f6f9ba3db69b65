"""LMTP (RFC 2033): the compiled dialogue and its plain twin."""

from collections.abc import Callable
from typing import Any

import pytest

from fastsmtp.mail import reply
from tests.fakes.session import IMPLEMENTATIONS, LMTP, NO, NOT_NOW, STORED, Client

Make = Callable[..., Any]

OPEN = b"LHLO client.test\r\nMAIL FROM:<a@b.test>\r\n"
TWO = b"RCPT TO:<c@d.test>\r\nRCPT TO:<refuse@d.test>\r\nRCPT TO:<e@d.test>\r\n"


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def make(request: pytest.FixtureRequest) -> Make:
    return IMPLEMENTATIONS[request.param]


def test_hello(make: Make) -> None:
    client = Client(make, LMTP)
    assert client.protocol.greeting() == b"220 mx.test LMTP fastsmtp\r\n"
    for line in (b"EHLO x\r\n", b"HELO x\r\n"):
        assert client.say(line) == reply.UNKNOWN_COMMAND.wire
    assert client.say(b"lhlo x\r\n") == LMTP.extended_hello
    assert client.handler.events == [("hello", "x", True)]


@pytest.mark.parametrize(
    ("body", "answer", "before"),
    [
        (b"DATA\r\nx\r\n.\r\n", STORED, reply.SEND_DATA.wire),
        (b"BDAT 1\r\nxBDAT 2 LAST\r\n\r\n", STORED, reply.CHUNK_OK.wire),
        (b"DATA\r\nx\n.\r\n.\r\n", reply.BARE_LF, reply.SEND_DATA.wire),
        (b"BDAT 20000 LAST\r\n" + b"x" * 20_000, reply.TOO_BIG, b""),
    ],
)
@pytest.mark.parametrize("sender", [b"a", b"laterdata"])
def test_a_reply_for_each_recipient(
    make: Make, body: bytes, answer: reply.Reply, before: bytes, sender: bytes
) -> None:
    client = Client(make, LMTP)
    client.say(OPEN.replace(b"<a@", b"<" + sender + b"@"), TWO)
    assert client.say(body) == before + answer.wire * 2
    assert client.say(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nx\r\n.\r\n").endswith(
        reply.SEND_DATA.wire + STORED.wire
    )


@pytest.mark.parametrize(
    ("sender", "body", "answers"),
    [
        (b"a", b"BDAT 20000\r\n" + b"x" * 20_000, [reply.TOO_BIG]),
        (b"a", b"BDAT 2\r\nx\n", [reply.BARE_LF]),
        (b"refusedata", b"BDAT 2\r\nx\n", [NO]),
        (b"refusedata", b"BDAT 2 LAST\r\nx\n", [NO, NO]),
        (b"laterrefusedata", b"BDAT 2 LAST\r\nx\n", [NOT_NOW, NOT_NOW]),
        (b"refusedata", b"BDAT 0 LAST\r\n", [NO, NO]),
        (b"refusedata", b"DATA\r\n", [NO]),
    ],
)
def test_a_reply_for_each_recipient_only_at_the_end(
    make: Make, sender: bytes, body: bytes, answers: list[reply.Reply]
) -> None:
    """To a chunk that is not the last there is one (RFC 2033 §4.3), and so there is to DATA itself."""
    client = Client(make, LMTP)
    client.say(OPEN.replace(b"<a@", b"<" + sender + b"@"), TWO)
    assert client.say(body) == b"".join(answer.wire for answer in answers)
    assert client.say(b"BDAT 0 LAST\r\n") == reply.NEED_MAIL.wire
    client.say(b"MAIL FROM:<a@b.test>\r\n", TWO)
    assert client.say(b"DATA\r\nx\r\n.\r\n") == reply.SEND_DATA.wire + STORED.wire * 2


def test_no_reply_but_one_without_recipients(make: Make) -> None:
    client = Client(make, LMTP)
    client.say(OPEN)
    assert client.say(b"RCPT TO:<refuse@d.test>\r\nDATA\r\n").endswith(reply.NO_VALID_RECIPIENTS.wire)
