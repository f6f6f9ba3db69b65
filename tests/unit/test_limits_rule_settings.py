"""Rules are read from the settings, said in words, and stand beside the defaults they do not replace."""

import re

import pytest

from fastsmtp.config.bind import bind
from fastsmtp.config.errors import SettingsError
from fastsmtp.limits.rule_settings import DEFAULT_RULES, RuleSettings, parse_rate, rules_in_force
from fastsmtp.limits.settings import LimitSettings


def test_rates() -> None:
    assert parse_rate("500/1h") == (500, 3600)
    assert parse_rate("30/1m30s") == (30, 90)
    assert parse_rate("2M/1d") == (2 << 20, 86_400)
    assert parse_rate("1K/1s") == (1024, 1)


@pytest.mark.parametrize(
    "text",
    ["", "500", "500/h", "500/", "/1h", "1.5/1h", "-1/1h", "500 / 1h", "5T/1h", "500/1x", "0/1h", "5/0s"],
)
def test_bad_rates_say_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f'{text.rpartition("/")[2]}"')):
        parse_rate(text)


def test_the_rate_gives_the_burst_unless_it_is_set() -> None:
    rule = RuleSettings(count="messages", per="ip", rate="60/1h")
    assert (rule.interval, rule.most) == (60, 60)
    rule = RuleSettings(count="messages", per="ip", rate="60/1h", burst=5)
    assert (rule.interval, rule.most) == (60, 5)


def test_rules_take_the_place_of_defaults_with_their_count_and_per() -> None:
    messages = RuleSettings(count="messages", per="account", rate="500/1h")
    assert rules_in_force(()) == DEFAULT_RULES
    assert rules_in_force((messages,)) == (*DEFAULT_RULES, messages)
    slower = RuleSettings(count="auth_failures", per="ip", rate="5/1h")
    also = RuleSettings(count="auth_failures", per="ip", rate="10/1d")
    assert rules_in_force((slower, also)) == (DEFAULT_RULES[0], slower, also)
    off = RuleSettings(count="unknown_recipients", per="ip", rate="off")
    assert rules_in_force((off,)) == DEFAULT_RULES[1:]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"count": "messages", "per": "ip", "rate": "fast"}, 'rate: expected a rate such as "500/1h"'),
        ({"count": "messages", "per": "host", "rate": "5/1h"}, "per"),
        ({"count": "mails", "per": "ip", "rate": "5/1h"}, "count"),
        ({"count": "messages", "per": "ip"}, "rate"),
        ({"count": "messages", "per": "ip", "rate": "5/1h", "burst": 0}, "burst"),
        ({"count": "connections", "per": "account", "rate": "5/1h"}, "connections are counted by ip"),
        ({"count": "auth_failures", "per": "sender_domain", "rate": "5/1h"}, "by ip or account"),
    ],
)
def test_wrong_rules_name_the_key(table: dict[str, object], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        bind({"rules": [table]}, LimitSettings)
    (line,) = caught.value.problems
    assert line.startswith("rules[0]")
    assert problem in line


def test_words() -> None:
    assert [rule.words() for rule in DEFAULT_RULES] == [
        "unknown recipients from one address (IPv6: one /64): 120 in 1h, then 421 to RCPT, and 450 to MAIL",
        "failed logins from one address (IPv6: one /64): 20 in 1h, then 421 to AUTH",
    ]
    rule = RuleSettings(count="bytes", per="account", rate="1M/1d", burst=1000)
    assert rule.words() == "bytes from one account: 1,048,576 in 1d, 1,000 at once, then 450 to MAIL"
    rule = RuleSettings(count="auth_failures", per="account", rate="5/1h")
    assert rule.words() == "failed logins of one account: answered ever later, never refused (5/1h)"
