"""Events as ``key=value`` text, for people and for `grep`.

A line reads ``2026-11-24T05:35:00.123Z fastsmtp[71/0] received id=… from=<a@b> to=<c@d> size=4096 …``, the bracket
naming process and worker slot. Whatever a client said cannot begin a line or a key of its own: a value with a blank,
a quote, a control or a non-ASCII byte stands in double quotes with backslash escapes.
"""

from collections.abc import Callable, Sequence
from typing import Any

from fastsmtp._core import lines as core
from fastsmtp.telemetry import events
from fastsmtp.telemetry.events import Event

_NAMED = 10


class TextForm:
    """Events as lines of text. One thread at a time."""

    def __init__(self) -> None:
        self._write = core.Lines(events.Received, events.Delivered, text)

    def __call__(self, batch: Sequence[Event], lines: bytes) -> bytes:
        """See `Form`."""
        if not batch:
            return b""
        # all of a batch are of one process
        slot = "master" if batch[0].worker is None else batch[0].worker
        return self._write(batch, b" fastsmtp[%d/%s] " % (batch[0].pid, str(slot).encode()))


def text(event: Event) -> str:
    """The event as one line, without its time and process."""
    return TEXTS[type(event)](event)


def quoted(value: str) -> str:
    """``value`` as it may stand behind a key: unchanged when plain, else in quotes with escapes."""
    if value and value.isascii() and value.isprintable() and " " not in value and '"' not in value:
        return value
    return '"' + one_line(value).replace('"', '\\"') + '"'


def one_line(value: str) -> str:
    """``value`` in printable ASCII."""
    if value.isascii() and value.isprintable() and "\\" not in value:
        return value
    return value.encode("unicode_escape").decode("ascii")


def _received(event: events.Received) -> str:
    to = _several(event.to, event.more)
    line = (
        f"received id={event.id} from={quoted(f'<{event.sender}>')} to={quoted(f'<{to}>')} "
        f"size={event.size} client={quoted(event.client)} helo={quoted(event.helo)} with={event.protocol}"
    )
    if event.message_id:
        line += f" message-id={quoted(event.message_id)}"
    if event.login:
        line += f" login={quoted(event.login)}"
    if event.tls:
        line += f" tls={quoted(event.tls)}"
    if event.aliases:
        line += f" alias={quoted(f'<{_several(event.aliases)}>')}"
    return f"{line} sync={event.sync:.4f}" if event.sync else line


def _rejected(event: events.Rejected) -> str:
    line = f"rejected stage={event.stage} client={quoted(event.client)}"
    if event.sender is not None:
        line += f" from={quoted(f'<{event.sender}>')}"
    if event.to is not None:
        line += f" to={quoted(f'<{event.to}>')}"
    return f"{line} reply={quoted(f'{event.code} {event.enhanced} {event.reply}')}"


def _authenticated(event: events.Authenticated) -> str:
    return (
        f"authenticated client={quoted(event.client)} mechanism={event.mechanism} login={quoted(event.login)}"
    )


def _login_failed(event: events.LoginFailed) -> str:
    return (
        f"login-failed client={quoted(event.client)} mechanism={event.mechanism} login={quoted(event.login)} "
        f"reason={quoted(event.reason)}"
    )


def _verified(event: events.Verified) -> str:
    word = "verified" if event.exists else "unverified"
    return f"{word} to={quoted(f'<{event.to}>')} relay={quoted(event.relay or 'none')} reply={quoted(event.reply)}"


def _routed(event: events.Routed) -> str:
    line = f"routed id={event.id} to={quoted(f'<{_several(event.to)}>')} route={quoted(event.route)}"
    line += f" hops={quoted(','.join(event.hops))}"
    return f"{line} site={quoted(event.site)}" if event.site else line


def _delivered(event: events.Delivered) -> str:
    return (
        f"delivered id={event.id} to={quoted(f'<{event.to}>')} mailbox={quoted(event.mailbox)} "
        f"delay={event.delay:.2f}"
    )


def _attempt(word: str) -> Callable[[Any], str]:
    def line(event: events.Attempt) -> str:
        line = (
            f"{word} id={event.id} to={quoted(f'<{event.to}>')} relay={quoted(event.relay or 'none')} "
            f"delay={event.delay:.2f} reply={quoted(reply_of(event))}"
        )
        if event.tls:
            line += f" tls={quoted(event.tls)}"
        return f"{line} took={event.duration:.3f}" if event.duration else line

    return line


def reply_of(event: events.Attempt) -> str:
    """What the remote said, or our reason."""
    return f"{event.code} {event.reply}" if event.code else event.reply


def _notified(event: events.Notified) -> str:
    return (
        f"notified id={event.id} about={event.about} to={quoted(f'<{event.to}>')} kind={event.notice} "
        f"recipients={event.recipients}"
    )


def _untold(event: events.Untold) -> str:
    about = f" to={quoted(f'<{event.to}>')}" if event.to else ""
    return f"untold id={event.id}{about} reason={quoted(event.reason)}"


def _failed(event: events.Failed) -> str:
    return f"failed id={event.id} to={quoted(f'<{event.to}>')} reason={quoted(event.reason)}"


def _changed(event: events.Changed) -> str:
    hops = f" hops={quoted(','.join(event.hops))}" if event.hops else ""
    return f"changed id={event.id} action={event.action}{hops}"


def _closed(event: events.Closed) -> str:
    return f"closed client={quoted(event.client)} reason={quoted(event.reason)}"


def _server(event: events.Server) -> str:
    return f"event {one_line(event.text)}"


def _lost(event: events.Lost) -> str:
    return f"lost where={event.sink} count={event.count}"


TEXTS: dict[type[Event], Callable[[Any], str]] = {
    events.Received: _received,
    events.Rejected: _rejected,
    events.Authenticated: _authenticated,
    events.LoginFailed: _login_failed,
    events.Verified: _verified,
    events.Routed: _routed,
    events.Delivered: _delivered,
    events.Sent: _attempt("sent"),
    events.Deferred: _attempt("deferred"),
    events.Bounced: _attempt("bounced"),
    events.Expired: _attempt("expired"),
    events.Notified: _notified,
    events.Untold: _untold,
    events.Failed: _failed,
    events.Changed: _changed,
    events.Closed: _closed,
    events.Server: _server,
    events.Lost: _lost,
}


def _several(addresses: Sequence[str], more: int = 0) -> str:
    """The first of these as one value; a message to a thousand does not make a line of 300 KB."""
    named = ">,<".join(addresses[:_NAMED])
    more += max(len(addresses) - _NAMED, 0)
    return f"{named}>,<and-{more}-more" if more else named
