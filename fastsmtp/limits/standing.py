"""How much of which limit somebody has left: what ``fastsmtp limits`` asks for."""

import ipaddress

from msgspec import Struct

from fastsmtp.limits.counter import Counter, Rule, account_key, domain_key, network_key
from fastsmtp.limits.rule_settings import Per


class Standing(Struct):
    """``key`` before one rule. ``left`` of ``most`` may come now, the next one in ``wait`` seconds; all of them may
    again in ``full_in`` seconds. ``refused`` times lately, last at ``refused_at`` (wall clock), None for never.
    ``exempt``: it is not counted at all."""

    count: str
    per: str
    rate: str
    key: str
    left: int
    most: int
    wait: float
    full_in: float
    refused: int
    refused_at: float | None
    exempt: bool


class LimitDesk:
    """Looks things up in the shared memory, which any worker can do for all. What is asked for is an address, an
    account or a domain; whatever it may be is looked at."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    def refused(self) -> list[Standing]:
        """Who was refused lately, the latest first."""
        rules = self._counter.table.rules
        found = [self._standing(rules[one.rule], one.key) for one in self._counter.refusals()]
        return sorted(found, key=lambda one: -(one.refused_at or 0.0))

    def explain(self, text: str) -> list[Standing]:
        """How ``text`` stands before each rule that may concern it."""
        keys = keys_of(text)
        rules = self._counter.table.rules
        ip = _network(text) or ""
        return [self._standing(rule, keys[rule.per], ip) for rule in rules if rule.per in keys]

    def reset(self, text: str) -> list[Standing]:
        """Let ``text`` begin anew; how it stood where something was counted."""
        keys = keys_of(text)
        stood = []
        for rule in self._counter.table.rules:
            key = keys.get(rule.per)
            if key is not None:
                before = self._standing(rule, key)
                self._counter.forget(rule, key)
                if before.full_in or before.refused:
                    stood.append(before)
        return stood

    def _standing(self, rule: Rule, key: str, ip: str = "") -> Standing:
        table, settings = self._counter.table, rule.settings
        now = table.clock.monotonic()
        mark = table.mark(rule, key)
        debt = rule.buckets.debt(mark, now)
        refusal = table.refused.of(mark)
        return Standing(
            count=settings.count,
            per=settings.per,
            rate=settings.rate,
            key=key,
            left=max(0, int(settings.most - debt / settings.interval + 1e-3)),
            most=settings.most,
            wait=rule.buckets.wait(mark, now),
            full_in=debt,
            refused=0 if refusal is None else refusal.times,
            refused_at=None if refusal is None else refusal.at,
            exempt=bool(ip) and self._counter.exempt(ip),
        )


def keys_of(text: str) -> dict[Per, str]:
    """What ``text`` may be, as rules know it: an address or its /64, else an account, else a domain or an account
    without one."""
    network = _network(text)
    if network is not None:
        return {"ip": network_key(network)}
    if "@" in text:
        return {"account": account_key(text)}
    return {"account": account_key(text), "sender_domain": domain_key("@" + text)}


def _network(text: str) -> str | None:
    try:
        return str(ipaddress.ip_interface(text.partition("%")[0]).ip)
    except ValueError:
        return None
