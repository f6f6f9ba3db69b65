"""The queue as people read it: rows of a width, and all of one message. What strangers said is one printable line."""

import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime

from fastsmtp.control.queue import QueueRow, RecipientRow, Shown, SiteRow, TlsRow, TryRow
from fastsmtp.mail.result import printable

NARROWEST = 80
_MOST_WORDS = 500
_LABEL = 12
"""Columns before what is said of a message."""
_FIXED = 36  # columns of id, age, size and state, and the blanks behind them


def age(seconds: float) -> str:
    """``45s``, ``12m``, ``3h``, ``5d``: of the largest unit."""
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit}"
    return f"{max(0, round(seconds))}s"


def octets(size: int) -> str:
    """``512``, ``4.2K``, ``310M``: at most four characters."""
    amount = float(size)
    for unit in ("", "K", "M", "G"):
        if amount < 999.5:
            return f"{amount:.1f}{unit}" if unit and amount < 9.95 else f"{amount:.0f}{unit}"
        amount /= 1024
    return f"{amount:.0f}T"


def moment(at: float) -> str:
    """A time of day in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def columns(text: str) -> int:
    """How many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def cell(text: str, width: int, *, cut: bool) -> str:
    """``text`` in at least ``width`` columns; with ``cut`` in no more: what does not fit goes, and ``…`` says so."""
    text = printable(text, _MOST_WORDS)
    taken = columns(text)
    if cut and taken > width:
        while text and columns(text) > width - 1:
            text = text[:-1]
        text += "…"
        taken = columns(text)
    return text + " " * (width - taken)


def said(row: RecipientRow | TryRow) -> str:
    """What an attempt came to; an enhanced status that the remote's words begin with is not said twice, nor when only
    its class is another: a 5xx that says nothing of the message is put off as 4."""
    enhanced = "" if row.enhanced and row.reply[1:].startswith(f"{row.enhanced[1:]} ") else row.enhanced
    words = " ".join(filter(None, (str(row.code) if row.code else "", enhanced, row.reply)))
    return printable(words, _MOST_WORDS)


def reason(row: RecipientRow) -> str:
    """Why a recipient still waits: what was said last, else what it waits for."""
    return said(row) if row.reply or row.code else row.why


class Rows:
    """Rows of ``width`` columns; None: as long as it takes, for a file or another program."""

    def __init__(self, width: int | None, now: float) -> None:
        self._now = now
        self._cut = width is not None
        room = max(width or 160, NARROWEST) - _FIXED
        self._sender = room * 3 // 10
        self._recipient = room * 2 // 5
        self._reason = room - self._sender - self._recipient - 2

    def head(self) -> str:
        """The line above them."""
        return (
            f"{'ID':<13} {'AGE':>4} {'SIZE':>5} {'STATE':<8} {'SENDER':<{self._sender}} "
            f"{'RECIPIENT':<{self._recipient}} REASON"
        )

    def line(self, row: QueueRow) -> str:
        """One message."""
        first = row.recipients[0] if row.recipients else None
        more = f" +{row.waiting - 1}" if row.waiting > 1 else ""
        recipient = (
            cell(first.address if first else "", self._recipient - len(more), cut=self._cut).rstrip() + more
        )
        why = cell(reason(first) if first else "", self._reason, cut=self._cut)
        return (
            f"{row.id:<13} {age(self._now - row.queued_at):>4} {octets(row.size):>5} {row.state:<8} "
            f"{cell(row.sender or '<>', self._sender, cut=self._cut)} {pad(recipient, self._recipient)} {why}"
        ).rstrip()


def pad(text: str, width: int) -> str:
    """``text`` and blanks up to ``width`` columns."""
    return text + " " * (width - columns(text))


class Page:
    """Text for lines of ``width`` columns; None: as long as it takes, for a file or another program."""

    def __init__(self, width: int | None) -> None:
        self._width = None if width is None else max(width, NARROWEST)

    def fold(self, label: str, text: str, indent: int = _LABEL) -> Iterator[str]:
        """``label`` and ``text``; the lines after the first begin ``indent`` columns in."""
        line, begun = label, False
        for word in text.split(" "):
            if begun and self._over(f"{line} {word}"):
                yield line.rstrip()
                line, begun = " " * indent, False
            line += f" {word}" if begun else word
            begun = True
            while self._over(line):
                end = len(line)
                while self._over(line[:end]):
                    end -= 1
                yield line[:end]
                line = " " * indent + line[end:]
        yield line.rstrip()

    def _over(self, line: str) -> bool:
        return self._width is not None and columns(line) > self._width


def message(shard: int, shown: Shown, now: float, page: Page) -> Iterator[str]:
    """The lines of one message."""
    fold = page.fold
    yield f"{shown.id}  {shown.state}, {age(now - shown.queued_at)} old, {shown.size:,} octets, shard {shard}"
    yield from fold("  from      ", printable(shown.sender) or "<>")
    client = f"{printable(shown.helo)} [{printable(shown.client_ip)}]"
    yield from fold("  received  ", f"{moment(shown.queued_at)} from {client} by {printable(shown.protocol)}")
    if shown.params:
        yield from fold("  wishes    ", _params(shown.params))
    if shown.hops:
        yield from fold("  rerouted  ", printable(f"to {', then '.join(shown.hops)}"))
    for one in shown.recipients:
        yield from _recipient(one, now, page)
    yield "header:"
    for line in shown.head.decode("utf-8", "replace").splitlines():
        text = printable(line.replace("\t", " "), 1000)
        yield from fold("    " if line[:1].isspace() else "  ", text, 6)


def _recipient(one: RecipientRow, now: float, page: Page) -> Iterator[str]:
    fold = page.fold
    times = f", {one.attempts} attempt{'s' if one.attempts != 1 else ''}" if one.attempts else ""
    yield from fold("to ", f"{printable(one.address)}: {printable(one.status)}{times}", 4)
    if one.original is not None:
        yield from fold("  named     ", printable(one.original))
    if one.params:
        yield from fold("  wishes    ", _params(one.params))
    for number, attempt in enumerate(one.tries):
        if number == 1 and one.left_out:
            yield f"  ...       {one.left_out} attempts that are not kept"
        where = printable(attempt.remote) or "no host was reached"
        yield f"  tried     {moment(attempt.at)}, {age(now - attempt.at)} ago"
        yield from fold(" " * _LABEL, f"{where}: {said(attempt)}", _LABEL + 2)
    if one.next_at is not None:
        when = f"in {age(one.next_at - now)}" if one.next_at > now else "now"
        why = f"; {printable(one.why)}" if one.why else ""
        yield from fold("  next      ", f"{moment(one.next_at)}, {when}{why}")
    elif one.why:
        yield from fold("  next      ", printable(one.why))
    if one.site:
        yield from fold("  site      ", printable(one.site))
    if one.route:
        yield from fold("  route     ", printable(one.route))


def _params(params: dict[str, str]) -> str:
    return printable(" ".join(f"{name}={value}" if value else name for name, value in sorted(params.items())))


def tls_head() -> str:
    """The line above how TLS went."""
    return f"{'SECURED':>8} {'FAILED':>8}  {'POLICY':<15}  DOMAIN AND WHAT FAILED"


def tls_row(row: TlsRow, page: Page) -> Iterator[str]:
    """The lines of one domain under one policy."""
    failed = sum(one.sessions for one in row.failures)
    start = f"{row.successes:>8,} {failed:>8,}  {row.policy:<15}  "
    yield from page.fold(start, printable(row.domain, 200), len(start))
    for one in row.failures:
        at = f" at {printable(one.host, 200)}" if one.host else ""
        yield from page.fold(" " * len(start), f"{one.sessions:,} {one.result}{at}", len(start) + 2)


def site_head() -> str:
    """The line above sites."""
    return f"{'HEALTH':<8} {'WAITING':>8} {'BUSY':>4} {'NEXT':>5}  SITE AND REASON"


def site(row: SiteRow, now: float, page: Page) -> Iterator[str]:
    """The lines of one site."""
    later = age(row.next_at - now) if row.next_at is not None and row.next_at > now else "-"
    why = f": {printable(row.reason)}" if row.reason else ""
    start = f"{row.health:<8} {row.waiting:>8,} {row.in_flight:>4} {later:>5}  "
    return page.fold(start, f"{printable(row.name, 200)}{why}", len(start))
