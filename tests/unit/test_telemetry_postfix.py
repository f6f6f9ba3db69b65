"""Events as Postfix words them, for pflogsumm and fail2ban; nothing forges a line or a client."""

from typing import Any

import msgspec
import pytest

from fastsmtp.mail.reply import MAILBOX_UNKNOWN, RELAY_DENIED, Reply
from fastsmtp.telemetry import events
from fastsmtp.telemetry.events import KINDS, Event
from fastsmtp.telemetry.postfix import PostfixForm, postfix_lines

HEAD: tuple[int, float, int, int] = (1, 1_795_498_500.125, 3, 71)


def rejected(stage: str, reply: Reply, **more: Any) -> list[str]:
    words = " ".join(reply.text)
    event = events.Rejected(*HEAD, "192.0.2.1", stage, reply.code, reply.status, words, **more)
    return [f"{program}: {text}" for program, text in postfix_lines(event)]


def test_a_received_message_is_three_lines_of_the_host() -> None:
    event = events.Received(*HEAD, "ID1", "a@x", ["b@y", "c@y"], 4096, "192.0.2.1", "h", "ESMTP", login="a@x")
    event.message_id = "1@x"
    assert PostfixForm("mx.test")([event], b"").decode().splitlines() == [
        "2026-11-24T05:35:00.125Z mx.test postfix/smtpd[71]: ID1: client=unknown[192.0.2.1], sasl_username=a@x",
        "2026-11-24T05:35:00.125Z mx.test postfix/cleanup[71]: ID1: message-id=<1@x>",
        "2026-11-24T05:35:00.125Z mx.test postfix/qmgr[71]: ID1: from=<a@x>, size=4096, nrcpt=2 (queue active)",
    ]


def test_refusals() -> None:
    given = {"sender": "a@x", "to": "b@y", "helo": "h", "protocol": "ESMTP"}
    start = "smtpd: NOQUEUE: reject: RCPT from unknown[192.0.2.1]: 550"
    end = "; from=<a@x> to=<b@y> proto=ESMTP helo=<h>"
    assert rejected("RCPT", MAILBOX_UNKNOWN, **given) == [
        f"{start} 5.1.1 <b@y>: Recipient address rejected: User unknown: no such mailbox here{end}"
    ]
    assert rejected("RCPT", RELAY_DENIED, **given) == [
        f"{start} 5.7.1 <b@y>: Relay access denied: not our domain, and you may not relay{end}"
    ]
    assert rejected("connect", Reply(554, "7.1", "no")) == [
        "smtpd: NOQUEUE: reject: CONNECT from unknown[192.0.2.1]: 554 5.7.1 Client host rejected: no; "
        "proto=SMTP helo=<>"
    ]
    [later] = rejected("DATA", Reply(451, "3.0", "try later"), sender="a@x")
    assert "451 4.3.0 try later; from=<a@x>" in later, "what passes is no offence"


def test_attempts_and_deliveries() -> None:
    what = (*HEAD, "ID1", "b@y", "mx.y[192.0.2.9]:25", 550, "5.1.1", "nobody", 3.0, 1.0)
    assert postfix_lines(events.Bounced(*what)) == [
        (
            "smtp",
            "ID1: to=<b@y>, relay=mx.y[192.0.2.9]:25, delay=3.00, delays=2.00/0/0/1.00, dsn=5.1.1, "
            "status=bounced (550 nobody)",
        )
    ]
    [(_, expired)] = postfix_lines(events.Expired(*what))
    assert expired.endswith("status=bounced (expired, the last answer was: 550 nobody)")
    [(program, words)] = postfix_lines(events.Delivered(*HEAD, "ID1", "b@y", "b@y", 0.25))
    assert (program, words.split("delay=")[0]) == ("virtual", "ID1: to=<b@y>, relay=virtual, ")


EVIL = 'x>, status=sent\r\nNov 24 x postfix/smtpd[1]: warning: unknown[192.0.2.66]: SASL "\x1b\udcff'


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_printable_lines(kind: type[Event]) -> None:
    made: dict[str, Any] = dict(zip(("v", "at", "worker", "pid"), HEAD, strict=True))
    for field in msgspec.structs.fields(kind)[4:]:
        bare = getattr(field.type, "__origin__", field.type)
        made[field.name] = {int: 1, float: 1.0, bool: True, str: EVIL}.get(bare, EVIL)
    if "action" in made:
        made["action"] = "remove"
    for name in ("to", "hops", "aliases"):
        if name in made and kind in (events.Received, events.Routed, events.Changed):
            made[name] = [EVIL]
    text = PostfixForm("mx.test")([kind(**made)], b"").decode()
    for line in text.splitlines():
        assert line.isprintable()
        assert line.startswith("2026-11-24T05:35:00.125Z mx.test postfix/")
