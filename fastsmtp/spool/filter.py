"""Which relay mail somebody means, and where to look for it.

A filter is a conjunction. One of its conditions gives the range of an index that is read; all of them are then
checked against each message found there. Without such a condition everything is looked at, and `Plan.scan` says so.
"""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from msgspec import Struct

from fastsmtp.mail.envelope import Envelope
from fastsmtp.mail.ids import base62
from fastsmtp.spool.tables import BY_CODE, BY_DOMAIN, BY_FROM, BY_RCPT, BY_SENDER, HELD, WAIT
from fastsmtp.spool.waiting import (
    ID_BYTES,
    LONGEST_KEY,
    RcptState,
    State,
    Waiting,
    address_key,
    domain_start,
    state_of,
)

_WILD = re.compile(r"[*?]")
_TIME_DIGITS = 9
_SLACK = 1.0
"""Seconds by which an id may be made before its message counts as received."""


class Filter(Struct, frozen=True, kw_only=True):
    """``recipient``, ``sender`` and ``remote`` are globs (``*``, ``?``) without regard to case, the null sender is
    ``""``; ``domain`` is a recipient's, or ``*.name`` for all below it; ``older`` and ``younger`` are ages in
    seconds; ``code`` is the last reply's or its first digits, ``000`` for none; ``text`` stands somewhere in its
    words, without regard to case; ``route`` is asked of a recipient's address and the hops its message was given by
    hand. What is said of recipients must hold for one and the same that is not final."""

    ids: tuple[str, ...] | None = None
    recipient: str | None = None
    domain: str | None = None
    sender: str | None = None
    older: float | None = None
    younger: float | None = None
    state: State | None = None
    code: str | None = None
    text: str | None = None
    remote: str | None = None
    route: Callable[[str, tuple[str, ...]], bool] | None = None


class Plan(NamedTuple):
    """The keys of ``table`` from ``start`` on and below ``end`` name all waiting messages the filter can mean.

    ``scan``: that is all of them. ``exact``: a row says all the filter wants to know. ``once``: a message has one row
    in the range at most."""

    table: bytes
    start: bytes
    end: bytes | None
    scan: bool = False
    exact: bool = False
    once: bool = True


def plan_of(filter: Filter, now: float) -> Plan:
    """Where to look; ``now`` in seconds since 1970 UTC."""
    ranges: list[tuple[int, Plan]] = []
    if filter.recipient is not None:
        ranges += _addresses(filter.recipient, BY_RCPT, BY_DOMAIN)
    if filter.sender is not None:
        ranges += [
            (rank, plan._replace(once=True)) for rank, plan in _addresses(filter.sender, BY_FROM, BY_SENDER)
        ]
    if filter.domain is not None:
        ranges += _domains(filter.domain)
    if filter.state == "held":
        ranges.append((5, Plan(HELD, b"", None)))
    if filter.code:
        whole = len(filter.code) == 3
        ranges.append((6, _prefix(BY_CODE, filter.code.encode() + (b"\0" if whole else b""), once=whole)))
    if filter.younger is not None:
        since = max(0, int((now - filter.younger - _SLACK) * 1_000_000))
        ranges.append((7, Plan(WAIT, base62(since, _TIME_DIGITS).encode(), None)))
    if not ranges:
        return Plan(WAIT, b"", None, scan=True)
    plan = min(ranges, key=lambda one: one[0])[1]
    given = sum(getattr(filter, name) is not None for name in filter.__struct_fields__)
    return plan._replace(
        exact=given == 1 and plan.table is not WAIT and len(plan.start) < LONGEST_KEY - ID_BYTES
    )


def _prefix(table: bytes, start: bytes, *, once: bool = True) -> Plan:
    below = start.rstrip(b"\xff")
    return Plan(table, start, below[:-1] + bytes((below[-1] + 1,)) if below else None, once=once)


def _addresses(pattern: str, whole: bytes, by_domain: bytes) -> Iterable[tuple[int, Plan]]:
    """The ranges that answer a glob of addresses, each with its rank: the lower, the fewer rows."""
    wild = _WILD.search(pattern)
    if wild is None:
        yield 0, _prefix(whole, address_key(pattern) + b"\0")
        return
    local, at, domain = pattern.rpartition("@")
    start = local[:-1]
    if at and local.endswith("*") and not _WILD.search(start):
        if not _WILD.search(domain):
            key = domain_start(domain) + b"\0" + start.lower().encode("utf-8", "surrogateescape")
            yield (2 if start else 3), _prefix(by_domain, key[: LONGEST_KEY - ID_BYTES], once=False)
        elif not start and domain.startswith("*.") and not _WILD.search(domain[2:]):
            yield 4, _prefix(by_domain, domain_start(domain[2:]) + b".", once=False)
    elif pattern.endswith("*") and wild.start() == len(pattern) - 1 and len(pattern) > 1:
        yield 4, _prefix(whole, address_key(pattern[:-1]), once=False)


def _domains(pattern: str) -> Iterable[tuple[int, Plan]]:
    below = pattern.startswith("*.")
    name = pattern[2:] if below else pattern
    if not _WILD.search(name):
        yield (
            (4 if below else 3),
            _prefix(BY_DOMAIN, domain_start(name) + (b"." if below else b"\0"), once=False),
        )


def glob(pattern: str) -> Callable[[str], bool]:
    """Whether a text fits ``pattern``, in which ``*`` is any text and ``?`` any character, without regard to case."""
    wanted = pattern.lower()
    if not _WILD.search(wanted):
        return lambda text: text.lower() == wanted
    first, *others = [_literal(one) for one in re.split(r"\*+", wanted)]
    # What a star has passed over is not tried again: the time a hostile text takes is bounded.
    form = first + "".join(f"(?>.*?{one})" for one in others[:-1]) + (f".*{others[-1]}" if others else "")
    match = re.compile(form, re.DOTALL).fullmatch
    return lambda text: match(text.lower()) is not None


def _literal(text: str) -> str:
    return ".".join(re.escape(one) for one in text.split("?"))


class Matcher:
    """Checks all of a filter's conditions. ``may_be_fresh``, ``may_wait``: whether such messages can fit at all."""

    def __init__(self, filter: Filter, now: float) -> None:
        self._filter = filter
        self._now = now
        self.may_be_fresh = (
            filter.state in (None, "fresh")
            and not filter.text
            and filter.remote in (None, "", "*")
            and (filter.code is None or "000".startswith(filter.code))
        )
        self.may_wait = filter.state != "fresh"
        self._recipient = None if filter.recipient is None else glob(filter.recipient)
        self._sender = None if filter.sender is None else glob(filter.sender)
        self._remote = None if filter.remote is None else glob(filter.remote)
        self._domain = None if filter.domain is None else glob(filter.domain)
        self._text = None if filter.text is None else filter.text.lower()
        self._of_recipients = any(
            one is not None
            for one in (
                filter.recipient,
                filter.domain,
                filter.code,
                filter.text,
                filter.remote,
                filter.route,
            )
        )

    def fits(self, envelope: Envelope, waiting: Waiting | None) -> bool:
        """Whether the message is meant; ``waiting`` is None as long as it is fresh."""
        filter = self._filter
        if filter.ids is not None and envelope.id not in filter.ids:
            return False
        age = self._now - envelope.received_at
        if (filter.older is not None and age < filter.older) or (
            filter.younger is not None and age > filter.younger
        ):
            return False
        if filter.state not in (None, state_of(waiting)) or (
            self._sender is not None and not self._sender(envelope.sender)
        ):
            return False
        if not self._of_recipients:
            return True
        if waiting is None:
            return any(
                self._one(envelope, RcptState(number), ()) for number in range(len(envelope.recipients))
            )
        return any(self._one(envelope, rcpt, waiting.hops) for rcpt in waiting.rcpts)

    def _one(self, envelope: Envelope, rcpt: RcptState, hops: tuple[str, ...]) -> bool:
        address = envelope.recipients[rcpt.number].address
        return (
            (self._recipient is None or self._recipient(address))
            and (self._domain is None or self._domain(address.rpartition("@")[2]))
            and (self._filter.code is None or f"{rcpt.code:03}".startswith(self._filter.code))
            and (self._text is None or self._text in rcpt.text.lower())
            and (self._remote is None or self._remote(rcpt.remote))
            and (self._filter.route is None or self._filter.route(address, hops))
        )
