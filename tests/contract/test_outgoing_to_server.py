"""The sending client against our own server, in memory, each of both implementations: what is handed in arrives."""

import pytest

from fastsmtp.mail.envelope import Recipient
from fastsmtp.smtp.outgoing_values import Event
from fastsmtp.smtp.rules import ServerRules
from tests.fakes.outgoing import IMPLEMENTATIONS as CLIENTS
from tests.fakes.outgoing import protocol
from tests.fakes.session import IMPLEMENTATIONS as SERVERS
from tests.fakes.session import Client, bytewise

RULES = ServerRules(hostname="mx.test", size=1_000_000, recipients=5, errors=8)
BODIES = [
    b"Subject: x\r\n\r\n.\r\n..\r\n.x\r\n",
    b"Subject: x\r\n\r\nno end",
    b"x" * 70_000 + b"\r\n",
    b"Subject: x\r\n\r\n\xc3\xa9\r\n",
]
TO = [
    Recipient(f"{name}@there.test", "")
    for name in ("one", "refuse", "laterone", "two", "three", "four", "five")
]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("early", [0, 32_768])
def test_what_is_sent_arrives(client: str, server: str, whole: bool, early: int) -> None:
    sending = protocol(client)(b"me.test", early_chunk=early)
    there = Client(SERVERS[server], RULES)
    assert sending.receive(RULES.greeting)[:5] == b"EHLO "
    out = b"EHLO me.test\r\n"
    statuses = []
    for body in BODIES:
        exchange(sending, there, out, body)
        out = sending.begin("a@here.test", TO, None, len(body), body if whole else None)
        exchange(sending, there, out, body)
        assert sending.event == Event.DONE
        statuses.append([outcome.status for outcome in sending.outcomes])
        out = b""
    arrived = [body if body.endswith(b"\r\n") or (early and whole) else body + b"\r\n" for body in BODIES]
    assert there.handler.messages == arrived
    # RCPTMAX is 5: one of them refused, and what is over it belongs into the next transaction
    assert statuses == [["delivered", "failed", *["delivered"] * 3, "again", "again"]] * len(BODIES)
    exchange(sending, there, sending.quit(), b"")
    assert (sending.event, sending.trouble) == (Event.OVER, None)


def exchange(sending: object, there: Client, out: bytes, body: bytes) -> None:
    """Carry bytes both ways, the answers one by one, until something has happened."""
    while out:
        said = there.say(out)
        out = b""
        for octet in bytewise(said):
            out += sending.receive(octet)  # type: ignore[attr-defined]
            if sending.event == Event.BODY:  # type: ignore[attr-defined]
                half = len(body) // 2
                for piece, last in ((body[:half], False), (body[half:], True)):
                    out += b"".join(sending.body(piece, last))  # type: ignore[attr-defined]
