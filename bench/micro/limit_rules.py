"""What a rule costs: nanoseconds for each event told to `Counter`, without a rule for it, with one, and with three.

    .venv/bin/python -m bench.micro.limit_rules

Ten thousand clients in turn, so that rows and names are not all in the nearest cache.
"""

import time
from collections.abc import Callable
from typing import Literal

from fastsmtp.clock import SystemClock
from fastsmtp.limits.counter import Counter, LimitTable
from fastsmtp.limits.rule_settings import RuleSettings, rules_in_force

CLIENTS, EVENTS, ROUNDS = 10_000, 200_000, 5

Per = Literal["ip", "account", "sender_domain"]


def messages(*pers: Per) -> tuple[RuleSettings, ...]:
    """Rules that are never tripped."""
    return tuple(RuleSettings(count="messages", per=per, rate="1000000/1h") for per in pers)


def nanoseconds(rules: tuple[RuleSettings, ...], event: Callable[[Counter, int], object]) -> float:
    """The best of some rounds, with what the loop itself costs."""
    limits = LimitTable(rules, SystemClock()).worker(lambda ip: False)
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for i in range(EVENTS):
            event(limits, i % CLIENTS)
        best = min(best, time.perf_counter() - begun)
    return best / EVENTS * 1e9


def main() -> None:
    """Print the table."""
    ips = [f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(CLIENTS)]
    senders = [f"a@s{i}.example" for i in range(CLIENTS)]

    def mail(limits: Counter, i: int) -> object:
        return limits.mail(ips[i], "alice@example.org", senders[i])

    empty = nanoseconds((), lambda limits, i: ips[i] and senders[i])
    for name, rules, event in (
        ("MAIL, no rule", (), mail),
        ("MAIL, the defaults", rules_in_force(()), mail),
        ("MAIL, one for each address", messages("ip"), mail),
        ("MAIL, address, account and domain", messages("ip", "account", "sender_domain"), mail),
        ("connection, no rule", (), lambda limits, i: limits.connected(ips[i])),
        ("RCPT, no rule", (), lambda limits, i: limits.recipient(ips[i], "", senders[i])),
    ):
        print(f"{name:40}{nanoseconds(rules, event) - empty:8.0f} ns")


if __name__ == "__main__":
    main()
