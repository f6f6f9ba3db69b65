"""FUTURERELEASE (RFC 4865) in both dialogues: what is offered, and the parameters of MAIL."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fastsmtp.mail import reply
from fastsmtp.smtp.rules import ServerRules
from fastsmtp.smtp.states import Command
from tests.fakes.session import IMPLEMENTATIONS, Client

Make = Callable[..., Any]

OFFER = "604800 2026-12-01T13:30:00Z"
RULES = ServerRules(
    hostname="mx.test",
    size=10_000,
    recipients=5,
    errors=20,
    secured=True,
    mechanisms=("PLAIN",),
    future_release=OFFER,
)
WITHOUT = replace(RULES, future_release="")


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def make(request: pytest.FixtureRequest) -> Make:
    return IMPLEMENTATIONS[request.param]


def said(make: Make, parameters: bytes, rules: ServerRules = RULES) -> tuple[bytes, dict[str, str] | None]:
    """The reply to MAIL, and the parameters that the session hears of."""
    client = Client(make, rules)
    client.say(b"EHLO client.test\r\n")
    answer = client.say(b"MAIL FROM:<a@b.test>" + parameters + b"\r\n")
    events = [event for event in client.handler.events if event[0] == "mail"]
    return answer, events[-1][-1] if events else None


def test_it_is_offered_with_both_limits(make: Make) -> None:
    assert b"250-FUTURERELEASE 604800 2026-12-01T13:30:00Z\r\n" in Client(make, RULES).say(
        b"EHLO client.test\r\n"
    )
    assert b"FUTURERELEASE" not in Client(make, WITHOUT).say(b"EHLO client.test\r\n")


@pytest.mark.parametrize(
    ("parameters", "read"),
    [
        (b" HOLDFOR=1", {"HOLDFOR": "1"}),
        (b" holdfor=999999999", {"HOLDFOR": "999999999"}),
        (b" HOLDUNTIL=2026-11-24t13:30:00z", {"HOLDUNTIL": "2026-11-24T13:30:00Z"}),
        (b" BODY=7BIT HoldUntil=2026-11-24T14:30:00.25+01:00", None),
    ],
)
def test_a_time_is_taken(make: Make, parameters: bytes, read: dict[str, str] | None) -> None:
    read = read or {"BODY": "7BIT", "HOLDUNTIL": "2026-11-24T14:30:00.25+01:00"}
    assert said(make, parameters) == (reply.SENDER_OK.wire, read)


@pytest.mark.parametrize(
    "parameters",
    [
        b" HOLDFOR",
        b" HOLDFOR=0",
        b" HOLDFOR=01",
        b" HOLDFOR=-1",
        b" HOLDFOR=1.5",
        b" HOLDFOR=1000000000",
        b" HOLDFOR=\xd9\xa1",
        b" HOLDUNTIL",
        b" HOLDUNTIL=tomorrow",
        b" HOLDUNTIL=2026-11-24",
        b" HOLDUNTIL=2026-02-30T13:30:00Z",
        b" HOLDUNTIL=2026-11-24T13:30:00",
        b" HOLDFOR=1 HOLDFOR=1",
        b" HOLDFOR=1 HOLDUNTIL=2026-11-24T13:30:00Z",
        b" HOLDUNTIL=2026-11-24T13:30:00Z HOLDFOR=1",
    ],
)
def test_what_is_no_time(make: Make, parameters: bytes) -> None:
    answer, read = said(make, parameters)
    assert (answer[:10], read) == (b"501 5.5.4 ", None)


@pytest.mark.parametrize("parameters", [b" HOLDFOR=1", b" HOLDUNTIL=2026-11-24T13:30:00Z"])
def test_where_it_is_not_offered_it_is_not_known(make: Make, parameters: bytes) -> None:
    assert said(make, parameters, WITHOUT) == (reply.UNKNOWN_PARAMETER.wire, None)


def test_a_line_may_be_longer_by_it(make: Make) -> None:
    assert RULES.line_limit(Command.MAIL) == WITHOUT.line_limit(Command.MAIL) + 34
    wish = b" HOLDUNTIL=2026-11-24T13:30:00Z"
    room = RULES.line_limit(Command.MAIL) - len(b"MAIL FROM:<a@b.test>\r\n" + wish)
    assert said(make, b" " * room + wish)[0] == reply.SENDER_OK.wire
    assert said(make, b" " * (room + 1) + wish)[0] == reply.LINE_TOO_LONG.wire
