"""What a person is told of a key, and that it may begin anew."""

import pytest

from fastsmtp.limits.counter import Counter, LimitTable
from fastsmtp.limits.rule_settings import RuleSettings
from fastsmtp.limits.standing import LimitDesk, keys_of
from tests.fakes.clock import FakeClock
from tests.unit.test_limits_counter import FRIEND, IP, rule

ALICE = "alice@example.org"


def desk(*rules: RuleSettings) -> tuple[LimitDesk, Counter, FakeClock]:
    """That of another worker than the counter's."""
    clock = FakeClock()
    table = LimitTable(rules, clock)
    return LimitDesk(table.worker(lambda ip: ip == FRIEND)), table.worker(lambda ip: ip == FRIEND), clock


def test_keys() -> None:
    assert keys_of("192.0.2.7") == {"ip": "192.0.2.7"}
    assert keys_of("2001:db8::17") == keys_of("2001:db8::/64") == {"ip": "2001:db8::/64"}
    assert keys_of("Alice@example.org") == {"account": ALICE}
    assert keys_of("Far.test") == {"account": "far.test", "sender_domain": "far.test"}


def test_nobody_was_refused() -> None:
    asked, _, _ = desk(rule("messages"))
    assert asked.refused() == []


def test_whoever_was_refused_is_listed_the_latest_first() -> None:
    asked, limits, clock = desk(rule("messages"), rule("messages", "account"))
    for _ in range(4):
        limits.mail(IP, "", "")
    clock.pass_by(1)
    for host in range(3):
        limits.mail(f"198.51.100.{host + 2}", ALICE, "")
    first, second = asked.refused()
    assert (first.count, first.per, first.key, first.refused) == ("messages", "account", ALICE, 1)
    assert (second.per, second.key, second.refused, second.refused_at) == ("ip", IP, 2, clock.wall - 1)
    assert (second.left, second.most, second.rate, second.exempt) == (0, 2, "2/1m", False)
    assert (second.wait, second.full_in) == pytest.approx((29, 59), abs=0.01)


def test_explaining_one_who_was_never_refused() -> None:
    asked, limits, _ = desk(rule("messages"), rule("connections"), rule("messages", "account"))
    limits.mail(IP, "", "")
    messages, connections = asked.explain(IP)
    assert (messages.count, messages.left, messages.wait, messages.refused) == ("messages", 1, 0, 0)
    assert messages.refused_at is None
    assert messages.full_in == pytest.approx(30)
    assert (connections.left, connections.full_in) == (2, 0)
    assert [one.per for one in asked.explain(ALICE)] == ["account"]
    assert [one.exempt for one in asked.explain(FRIEND)] == [True, True]


def test_reset_frees_it_for_all_workers_and_nobody_else() -> None:
    asked, limits, _ = desk(rule("messages"), rule("connections"))
    for ip in (IP, "192.0.2.99"):
        for _ in range(3):
            limits.mail(ip, "", "")
    (stood,) = asked.reset(IP)
    assert (stood.count, stood.key, stood.left, stood.refused) == ("messages", IP, 0, 1)
    assert limits.mail(IP, "", "") is None
    assert limits.mail("192.0.2.99", "", "") is not None
    assert [one.key for one in asked.refused()] == ["192.0.2.99"]
    assert asked.reset("203.0.113.1") == []
