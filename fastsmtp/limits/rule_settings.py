"""The ``[[limits.rules]]`` tables: what is counted, for whom, and how much of it there may be."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from fastsmtp.config.values import Duration, parse_duration

Count = Literal[
    "connections",
    "messages",
    "recipients",
    "unknown_recipients",
    "auth_failures",
    "early_talkers",
    "bytes",
]
Per = Literal["ip", "account", "sender_domain"]

OFF = "off"

_RATE = re.compile(r"([0-9]{1,15})([KMG]?)/([0-9dhms]{1,20})")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_ONLY: dict[str, tuple[str, ...]] = {
    "connections": ("ip",),
    "early_talkers": ("ip",),
    "auth_failures": ("ip", "account"),
}
"""For whom something can be counted that happens before a sender or an account is known."""

_WHAT = {
    "connections": "connections",
    "messages": "messages",
    "recipients": "recipients",
    "unknown_recipients": "unknown recipients",
    "auth_failures": "failed logins",
    "early_talkers": "connections that talk before the banner",
    "bytes": "bytes",
}
_WHOSE = {
    "ip": "one address (IPv6: one /64)",
    "account": "one account",
    "sender_domain": "one sender's domain",
}
_THEN = {
    "connections": "421 at once",
    "messages": "450 to MAIL",
    "recipients": "450 to RCPT",
    "unknown_recipients": "421 to RCPT, and 450 to MAIL",
    "auth_failures": "421 to AUTH",
    "early_talkers": "421 at once",
    "bytes": "450 to MAIL",
}


def parse_rate(text: str) -> tuple[int, float]:
    """``500/1h`` as a number and seconds; raises ValueError."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f'expected a rate such as "500/1h", "30/1m" or "500M/1d", or "off", got "{text}"')
    number, seconds = int(match[1]) * _UNITS[match[2]], parse_duration(match[3])
    if not number or not seconds:
        raise ValueError(f'neither part may be 0, got "{text}"; "off" sets no limit')
    return number, float(seconds)


class RuleSettings(Struct, frozen=True, kw_only=True):
    """One limit, over all workers, as a bucket for each client, account or domain: what comes takes from it, and it
    fills again by ``rate``. The table may stand several times; docs/limits.md. There are two rules by default,
    `unknown_recipients` for each `ip` with `"120/1h"` and `auth_failures` for each `ip` with `"20/1h"`; a rule with
    the same `count` and `per` takes the place of such a one."""

    count: Annotated[Count, Meta(description="What is counted.", examples=["messages"])]
    per: Annotated[
        Per,
        Meta(
            description="For whom: `ip` is an address (IPv6: a /64), `account` who has logged in, or tried to, "
            "`sender_domain` the domain of MAIL's address.",
            examples=["account"],
        ),
    ]
    rate: Annotated[
        str,
        Meta(
            description='How many in which time: `"500/1h"`, `"30/1m"`; bytes also as `"500M/1d"`. `"off"`: not '
            "limited, which turns a default rule off.",
            examples=["500/1h"],
        ),
    ]
    burst: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=1 << 50,
                description="How many at once after a rest.",
                extra={"default": "the number in `rate`"},
            ),
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        if self.rate != OFF:
            try:
                parse_rate(self.rate)
            except ValueError as error:
                raise ValueError(f"rate: {error}") from None
        allowed = _ONLY.get(self.count)
        if allowed is not None and self.per not in allowed:
            raise ValueError(
                f'per: {self.count} are counted by {" or ".join(allowed)}, "{self.per}" is not known then'
            )

    @property
    def interval(self) -> float:
        """Seconds in which one more may come. Only where the rule is not off."""
        number, seconds = parse_rate(self.rate)
        return seconds / number

    @property
    def most(self) -> int:
        """How many may come at once after a rest. Only where the rule is not off."""
        return parse_rate(self.rate)[0] if self.burst is None else self.burst

    @property
    def what(self) -> str:
        """What is counted, in words."""
        return _WHAT[self.count]

    def words(self) -> str:
        """The whole rule, for a person."""
        number, seconds = parse_rate(self.rate)
        at_once = "" if self.most == number else f", {self.most:,} at once"
        if self.count == "auth_failures" and self.per == "account":
            return f"{self.what} of one account: answered ever later, never refused ({self.rate})"
        return (
            f"{self.what} from {_WHOSE[self.per]}: {number:,} in {Duration(seconds)}{at_once}, "
            f"then {_THEN[self.count]}"
        )


DEFAULT_RULES = (
    RuleSettings(count="unknown_recipients", per="ip", rate="120/1h"),
    RuleSettings(count="auth_failures", per="ip", rate="20/1h"),
)


def rules_in_force(given: Sequence[RuleSettings]) -> tuple[RuleSettings, ...]:
    """``given`` and the defaults that none of them replaces, without those that are off."""
    named = {(rule.count, rule.per) for rule in given}
    kept = [rule for rule in DEFAULT_RULES if (rule.count, rule.per) not in named]
    return tuple(rule for rule in (*kept, *given) if rule.rate != OFF)
