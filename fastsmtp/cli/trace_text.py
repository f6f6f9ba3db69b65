"""The story of a message as people read it. What strangers said is one printable line."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from fastsmtp.cli.queue_text import Page, age, cell, moment, pad
from fastsmtp.control.queue import RecipientRow, Shown
from fastsmtp.ledger.line import Line
from fastsmtp.ledger.search import folded
from fastsmtp.ledger.story import Fate, Story, words
from fastsmtp.mail.result import printable

_LABEL = 14
_TIMES = 26
"""Columns before what happened."""
_WORDS = 1000
_ROW = 51  # columns of time, id and state, and the blanks behind them


def told(story: Story, page: Page) -> Iterator[str]:
    """Head and events of a message."""
    fold = page.fold
    yield f"{story.id}  {state(story)}"
    if story.sender is None:
        yield from fold(
            "  from        ", "not known: the begin of its story is not in the ledger (any more)", _LABEL
        )
    else:
        yield from fold("  from        ", printable(story.sender) or "<>", _LABEL)
    for fate in story.fates:
        yield from fold("  to          ", _fate(fate), _LABEL)
    if story.message_id:
        yield from fold("  Message-ID  ", printable(story.message_id), _LABEL)
    if story.about:
        yield from fold(
            "  about       ", f"{story.about}: this message is a notification that tells of it", _LABEL
        )
    day = ""
    for line in story.lines:
        today = time.strftime("%Y-%m-%d UTC", time.gmtime(line.at))
        if today != day:
            yield today
            day = today
        yield from fold(
            f"  {_clock(line.at)}  {_later(line.at - story.begun):<10}  ", happened(line, story.id), _TIMES
        )


def coming(story: Story, shown: Shown | None, now: float, page: Page, why_not: str) -> Iterator[str]:
    """What comes next for recipients that are not final: as the queue says in ``shown``; ``why_not`` says why it says
    nothing."""
    waiting = [fate for fate in story.fates if not fate.final]
    if not waiting:
        return
    yield "next"
    rows = {folded(row.address): row for row in shown.recipients} if shown is not None else {}
    for fate in waiting:
        row = rows.get(folded(fate.address))
        text = _next(fate, now) if row is None else _awaited(row, now)
        if row is None and why_not:
            text += f" ({why_not})"
        yield from page.fold(f"  {printable(fate.address)}: ", text, 4)


def state(story: Story) -> str:
    """Of all recipients together, such as ``delivered`` or ``1 of 3 deferred``."""
    states = [fate.state for fate in story.fates]
    if not states:
        return "no recipient is known"
    if len(set(states)) == 1:
        return states[0] if len(states) == 1 else f"{states[0]}, {len(states)} recipients"
    counts = {one: states.count(one) for one in states}
    return ", ".join(f"{count} {one}" for one, count in counts.items()) + f" of {len(states)} recipients"


def happened(line: Line, queue_id: str) -> str:
    """An event in words."""
    text = _notified(line, queue_id) if line.kind == "notified" else _TELLERS.get(line.kind, _others)(line)
    return printable(text, _WORDS)


def followed(line: Line) -> str:
    """An event in one line of its own, as it comes."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(line.at))
    queue_id, who = line.text("id"), ""
    if line.kind == "received":
        to = line.texts("to")
        more = f" and {len(to) - 3} more" if len(to) > 3 else ""
        who = printable(f"{line.text('from') or '<>'} to {', '.join(to[:3])}{more}") + ": "
    return f"{at} {queue_id or '-':<13} {who}{happened(line, queue_id)}"


class TraceRows:
    """A line for each message; ``width`` as in `queue_text.Rows`."""

    def __init__(self, width: int | None) -> None:
        self._cut = width is not None
        room = max(width or 160, 80) - _ROW
        self._sender, self._to = room * 3 // 10, room * 3 // 10
        self._words = room - self._sender - self._to - 2

    def head(self) -> str:
        """The line above them."""
        people = f"{'SENDER':<{self._sender}} {'RECIPIENT':<{self._to}}"
        return f"{'TIME (UTC)':<19}  {'ID':<13}  {'STATE':<12}   {people} LAST WORDS"

    def message(self, story: Story) -> str:
        """A message."""
        last = max(story.fates, key=lambda fate: fate.at, default=None)
        more = f" +{len(story.fates) - 1}" if len(story.fates) > 1 else ""
        states = {fate.state for fate in story.fates}
        return self._row(
            story.begun,
            story.id,
            states.pop() if len(states) == 1 else "mixed" if states else "-",
            "?" if story.sender is None else story.sender or "<>",
            last.address if last else "-",
            more,
            last.words or last.where if last else "",
        )

    def refusal(self, line: Line) -> str:
        """A message, or a part of it, that was refused."""
        to = line.texts("to")
        return self._row(
            line.at, "-", "refused", line.text("from") or "<>", to[0] if to else "-", "", words(line)
        )

    def _row(self, at: float, id: str, state: str, sender: str, to: str, more: str, said: str) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))
        to = cell(to, self._to - len(more), cut=self._cut).rstrip() + more
        people = f"{cell(sender, self._sender, cut=self._cut)} {pad(to, self._to)}"
        last = cell(said, self._words, cut=self._cut)
        return f"{when}  {id:<13}  {state:<12}   {people} {last}".rstrip()


def _fate(fate: Fate) -> str:
    times = f", {fate.attempts} attempts" if fate.attempts > 1 else ""
    where = f" {_WHERE.get(fate.state, 'at')} {printable(fate.where)}" if fate.where else ""
    return f"{printable(fate.address)}: {fate.state}{where}{times}"


_WHERE = {"delivered": "into", "sent": "to", "deferred": "by", "bounced": "by", "expired": "by"}


def _clock(at: float) -> str:
    whole = int(at * 1000)
    return time.strftime("%H:%M:%S", time.gmtime(whole // 1000)) + f".{whole % 1000:03d}"


def _later(seconds: float) -> str:
    if seconds < 60:
        return f"+{max(0.0, seconds):.2f}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"+{days}d{hours:02d}h"
    return f"+{hours}h{minutes:02d}m" if hours else f"+{minutes}m{rest:02d}s"


def _next(fate: Fate, now: float) -> str:
    if fate.next_at:
        when = f"in {age(fate.next_at - now)}" if fate.next_at > now else "due now"
        return f"tried again at {moment(fate.next_at)}, {when}"
    return "nothing is known yet" if fate.state == "waiting" else "tried again when its site's turn comes"


def _awaited(row: RecipientRow, now: float) -> str:
    when = ""
    if row.next_at is not None:
        when = f"tried at {moment(row.next_at)}, " + (
            f"in {age(row.next_at - now)}" if row.next_at > now else "due now"
        )
    parts = [when, printable(row.why), f"route {printable(row.route)}" if row.route else ""]
    return "; ".join(filter(None, parts)) or "waits in the queue"


def _received(line: Line) -> str:
    parts = [
        f"received from {line.text('helo')} [{line.text('client')}] by {line.text('protocol')}, "
        f"{int(line.number('size')):,} octets"
    ]
    if line.text("login"):
        parts.append(f"sent by {line.text('login')}")
    if line.text("tls"):
        parts.append(line.text("tls"))
    if line.texts("aliases"):
        parts.append(f"written to {', '.join(line.texts('aliases')[:10])}")
    if line.number("sync"):
        parts.append(f"on the disk after {line.number('sync') * 1000:.1f} ms")
    return "; ".join(parts)


def _attempt(verb: str) -> Callable[[Line], str]:
    def tell(line: Line) -> str:
        where = line.text("relay") or "no host was reached"
        took = f" in {line.number('duration'):.2f}s" if line.number("duration") else ""
        tls = f" [{line.text('tls')}]" if line.text("tls") else ""
        later = f"; next at {moment(line.number('next_at'))}" if line.number("next_at") else ""
        return f"{verb} {line.text('to')}: {where}{took}{tls}: {words(line)}{later}"

    return tell


def _routed(line: Line) -> str:
    site = f"; site {line.text('site')}" if line.text("site") else ""
    hops = ", then ".join(line.texts("hops"))
    return f"routed {', '.join(line.texts('to')[:10])}: route {line.text('route')}, to {hops}{site}"


def _notified(line: Line, queue_id: str) -> str:
    notice, to = line.text("notice"), line.text("to") or "<>"
    if line.text("about") == queue_id:
        return (
            f"told {to} ({notice}, {int(line.number('recipients'))} recipients) by message {line.text('id')}"
        )
    return f"made: a notification ({notice}) to {to} about message {line.text('about')}"


def _rejected(line: Line) -> str:
    who = ", ".join(
        f"{word} {one}" for word, one in (("from", line.text("from")), ("to", line.text("to"))) if one
    )
    return f"refused {line.text('client')} at {line.text('stage')}{f' ({who})' if who else ''}: {words(line)}"


def _others(line: Line) -> str:
    """An event without words of its own, such as one of a newer server."""
    left: dict[str, Any] = {
        name: value
        for name, value in line.fields.items()
        if name not in ("kind", "v", "at", "worker", "pid", "id")
    }
    return " ".join([line.kind, *(f"{name}={value}" for name, value in left.items())])


_TELLERS: dict[str, Callable[[Line], str]] = {
    "received": _received,
    "rejected": _rejected,
    "routed": _routed,
    "delivered": lambda line: f"delivered {line.text('to')} into {line.text('mailbox')}",
    "sent": _attempt("sent"),
    "deferred": _attempt("put off"),
    "bounced": _attempt("refused for good"),
    "expired": _attempt("given up"),
    "failed": lambda line: f"failed for good {line.text('to')}: {line.text('reason')}",
    "untold": lambda line: (
        f"nobody is told about {line.text('to') or 'its recipients'}: {line.text('reason')}"
    ),
    "changed": lambda line: " ".join([f"by hand: {line.text('action')}", *line.texts("hops")]),
    "server": lambda line: f"server: {line.text('text')}",
    "lost": lambda line: f"{int(line.number('count'))} events did not get into the {line.text('sink')}",
}
