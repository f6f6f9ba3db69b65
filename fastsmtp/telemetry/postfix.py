"""Events as Postfix logs them, so that what reads Postfix's log reads ours: pflogsumm, fail2ban's filter, eyes.

A line reads ``2026-11-24T05:35:00.123Z mx.example.org postfix/smtpd[71]: ID: client=unknown[192.0.2.1]``. Clients and
hosts are addresses; no names are looked up for them. What Postfix has no words for is left out or told by its
``master``. What strangers said is printable, everything else in it is ``?``.
"""

from collections.abc import Callable, Sequence
from typing import Any

from fastsmtp._core import lines as core
from fastsmtp.mail.reply import RELAY_DENIED
from fastsmtp.mail.result import printable
from fastsmtp.telemetry import events
from fastsmtp.telemetry.events import Event
from fastsmtp.telemetry.text import reply_of

Line = tuple[str, str]
"""The program that would have logged it, and its words."""

_NO_USER = ("5.1.1", "5.1.10")
_MOST = 2000


class PostfixForm:
    """Events as lines of the host ``hostname``. One thread at a time."""

    def __init__(self, hostname: str) -> None:
        self._hostname = hostname
        self._stamp = core.Stamps().of

    def __call__(self, batch: Sequence[Event], lines: bytes) -> bytes:
        """See `Form`."""
        found = []
        for event in batch:
            head = f"{self._stamp(event.at)} {self._hostname} postfix/"
            found += [f"{head}{program}[{event.pid}]: {words}\n" for program, words in postfix_lines(event)]
        return "".join(found).encode("utf-8")


def postfix_lines(event: Event) -> list[Line]:
    """What Postfix would log; nothing for what it has no words for."""
    return [(program, printable(words, _MOST)) for program, words in _LINES[type(event)](event)]


def _received(event: events.Received) -> list[Line]:
    login = f", sasl_username={event.login}" if event.login else ""
    count = len(event.to) + event.more
    return [
        ("smtpd", f"{event.id}: client={_host(event.client)}{login}"),
        ("cleanup", f"{event.id}: message-id=<{event.message_id}>"),
        ("qmgr", f"{event.id}: from=<{event.sender}>, size={event.size}, nrcpt={count} (queue active)"),
    ]


def _rejected(event: events.Rejected) -> list[Line]:
    stage = event.stage.upper()
    given = f"; from=<{event.sender}>" if event.sender is not None else ";"
    if event.to is not None:
        given += f" to=<{event.to}>"
    given += f" proto={event.protocol or 'SMTP'} helo=<{event.helo}>"
    words = f"{event.code} {event.enhanced} {_why(event, stage)}"
    return [("smtpd", f"NOQUEUE: reject: {stage} from {_host(event.client)}: {words}{given}")]


def _why(event: events.Rejected, stage: str) -> str:
    """The reason in the words that filters look for; what passes by itself is not worded as an offence."""
    if event.to is not None:
        if event.enhanced in _NO_USER:
            return f"<{event.to}>: Recipient address rejected: User unknown: {event.reply}"
        if (event.code, event.enhanced) == (RELAY_DENIED.code, RELAY_DENIED.status):
            return f"<{event.to}>: Relay access denied: {event.reply}"
        return f"<{event.to}>: Recipient address rejected: {event.reply}"
    if event.code < 500:
        return event.reply
    if stage == "MAIL":
        return f"<{event.sender or ''}>: Sender address rejected: {event.reply}"
    if stage == "CONNECT":
        return f"Client host rejected: {event.reply}"
    return f"<{stage}>: Data command rejected: {event.reply}" if stage == "DATA" else event.reply


def _login_failed(event: events.LoginFailed) -> list[Line]:
    words = f"SASL {event.mechanism} authentication failed: {event.reason}, sasl_username={event.login}"
    return [("smtpd", f"warning: {_host(event.client)}: {words}")]


def _verified(event: events.Verified) -> list[Line]:
    word = "deliverable" if event.exists else "undeliverable"
    return [("verify", f"<{event.to}>: {word} at {event.relay or 'none'} ({event.reply})")]


def _delivered(event: events.Delivered) -> list[Line]:
    return [_to("virtual", event, "virtual", event.delay, 0.0, "2.0.0", "sent (delivered to maildir)")]


def _attempt(status: str, why: str = "") -> Callable[[Any], list[Line]]:
    def lines(event: events.Attempt) -> list[Line]:
        words = f"{status} ({why}{reply_of(event)})"
        return [_to("smtp", event, event.relay or "none", event.delay, event.duration, event.enhanced, words)]

    return lines


def _failed(event: events.Failed) -> list[Line]:
    return [_to("virtual", event, "virtual", 0.0, 0.0, "5.3.0", f"bounced ({event.reason})")]


def _to(
    program: str,
    event: events.Delivered | events.Attempt | events.Failed,
    relay: str,
    delay: float,
    took: float,
    dsn: str,
    words: str,
) -> Line:
    before = max(delay - took, 0.0)
    times = f"delay={delay:.2f}, delays={before:.2f}/0/0/{took:.2f}"
    return program, f"{event.id}: to=<{event.to}>, relay={relay}, {times}, dsn={dsn}, status={words}"


_NOTICES = {"failed": "non-delivery", "delayed": "delay"}


def _notified(event: events.Notified) -> list[Line]:
    kind = _NOTICES.get(event.notice, "delivery status")
    return [("bounce", f"{event.about}: sender {kind} notification: {event.id}")]


def _untold(event: events.Untold) -> list[Line]:
    return [("bounce", f"{event.id}: nobody is told: {event.reason}")]


_CHANGES = {
    "retry": "flushed",
    "hold": "placed on hold",
    "release": "released from hold",
    "reroute": "requeued",
    "remove": "removed",
    "bounce": "expired by hand",
}


def _changed(event: events.Changed) -> list[Line]:
    return [("postsuper", f"{event.id}: {_CHANGES[event.action]}")]


def _closed(event: events.Closed) -> list[Line]:
    return [("smtpd", f"lost connection from {_host(event.client)} ({event.reason})")]


def _server(event: events.Server) -> list[Line]:
    return [("master", event.text)]


def _lost(event: events.Lost) -> list[Line]:
    return [("master", f"warning: {event.count} events did not get into the {event.sink}")]


def _nothing(event: Event) -> list[Line]:
    return []


def _host(client: str) -> str:
    return f"unknown[{client or 'unknown'}]"


_LINES: dict[type[Event], Callable[[Any], list[Line]]] = {
    events.Received: _received,
    events.Rejected: _rejected,
    events.Authenticated: _nothing,
    events.LoginFailed: _login_failed,
    events.Verified: _verified,
    events.Routed: _nothing,
    events.Delivered: _delivered,
    events.Sent: _attempt("sent"),
    events.Deferred: _attempt("deferred"),
    events.Bounced: _attempt("bounced"),
    events.Expired: _attempt("bounced", "expired, the last answer was: "),
    events.Notified: _notified,
    events.Untold: _untold,
    events.Failed: _failed,
    events.Changed: _changed,
    events.Closed: _closed,
    events.Server: _server,
    events.Lost: _lost,
}
