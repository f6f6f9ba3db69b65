"""What clients do is counted by the rules that ask for it, for those it is asked for, and by no others."""

import pytest

from fastsmtp.limits.counter import MOST_DELAY, Counter, LimitTable, account_key, domain_key, network_key
from fastsmtp.limits.rule_settings import RuleSettings, rules_in_force
from fastsmtp.mail.reply import Reply
from tests.fakes.clock import FakeClock

IP, OTHER, FRIEND = "192.0.2.7", "192.0.2.8", "198.51.100.1"


def rule(count: str, per: str = "ip", rate: str = "2/1m", burst: int | None = None) -> RuleSettings:
    """Two a minute, unless told otherwise."""
    return RuleSettings(count=count, per=per, rate=rate, burst=burst)  # type: ignore[arg-type]


def counter(*rules: RuleSettings, loopback_exempt: bool = False) -> tuple[Counter, FakeClock]:
    """One that trusts FRIEND."""
    clock = FakeClock()
    table = LimitTable(rules, clock, loopback_exempt=loopback_exempt)
    return table.worker(lambda ip: ip == FRIEND), clock


def brief(reply: Reply | None) -> str:
    """Code and enhanced status, "" for none."""
    return "" if reply is None else f"{reply.code} {reply.status}"


def test_without_rules_nothing_is_counted() -> None:
    limits, _ = counter()
    for _ in range(100):
        assert limits.connected(IP) is None
        assert limits.mail(IP, "alice@example.org", "a@far.test") is None
        assert limits.recipient(IP, "", "a@far.test") is None
        assert limits.unknown(IP, "", "a@far.test") is None
        assert limits.barred(IP) is None
        assert limits.failed(IP, "alice") == 0
        limits.early(IP)
        limits.stored(IP, "", "a@far.test", 1_000_000)
    assert list(limits.refusals()) == []


def test_connections_get_421_and_are_told_when_to_come_back() -> None:
    limits, clock = counter(rule("connections"))
    assert [brief(limits.connected(IP)) for _ in range(3)] == ["", "", "421 4.7.0"]
    refused = limits.connected(IP)
    assert refused is not None
    assert refused.closes
    assert refused.text == ("too many connections from your address, come back in 30 seconds",)
    assert limits.connected(OTHER) is None
    clock.pass_by(30)
    assert limits.connected(IP) is None
    assert limits.connected(IP) is not None


def test_who_is_told_hears_of_each_refusal_what_is_counted() -> None:
    limits, _ = counter(rule("messages"), rule("recipients", rate="1/1m"))
    told: list[str] = []
    listening = limits.table.worker(lambda ip: ip == FRIEND, told.append)
    for _ in range(4):
        listening.mail(IP, "", "a@far.test")
        listening.mail(FRIEND, "", "a@far.test")
    for _ in range(2):
        listening.recipient(IP, "", "a@far.test")
    assert told == ["messages", "messages", "recipients"]


def test_all_workers_count_together() -> None:
    limits, _ = counter(rule("messages"))
    other = limits.table.worker(lambda ip: False)
    assert limits.mail(IP, "", "a@far.test") is None
    assert other.mail(IP, "", "a@far.test") is None
    assert brief(limits.mail(IP, "", "a@far.test")) == "450 4.7.1"
    assert brief(other.mail(IP, "", "a@far.test")) == "450 4.7.1"


def test_ipv6_clients_count_by_their_64() -> None:
    limits, _ = counter(rule("messages"))
    assert limits.mail("2001:db8::1", "", "") is None
    assert limits.mail("2001:db8::2", "", "") is None
    assert limits.mail("2001:db8::3", "", "") is not None
    assert limits.mail("2001:db8:0:1::1", "", "") is None


def test_accounts_count_wherever_they_come_from() -> None:
    limits, _ = counter(rule("messages", "account"))
    assert limits.mail(IP, "alice@example.org", "") is None
    assert limits.mail(OTHER, "alice@example.org", "") is None
    refused = limits.mail(OTHER, "Alice@example.org", "")
    assert refused is not None
    assert refused.text == ("too many messages of this account, come back in 30 seconds",)
    assert limits.mail(IP, "bob@example.org", "") is None
    for _ in range(5):
        assert limits.mail(IP, "", "") is None, "who has not logged in has no account"


def test_sender_domains_count_and_a_null_sender_has_none() -> None:
    limits, _ = counter(rule("messages", "sender_domain"))
    assert limits.mail(IP, "", "a@Far.Test") is None
    assert limits.mail(OTHER, "", "b@far.test") is None
    refused = limits.mail(IP, "", "c@far.test")
    assert refused is not None
    assert "from this sender's domain" in refused.text[0]
    for _ in range(5):
        assert limits.mail(IP, "", "") is None


def test_a_message_that_one_rule_refuses_is_counted_by_none() -> None:
    limits, clock = counter(rule("messages", rate="3/1h"), rule("messages", "account", "1/1m"))
    assert limits.mail(IP, "alice@example.org", "") is None
    for _ in range(5):
        assert limits.mail(IP, "alice@example.org", "") is not None
    clock.pass_by(60)
    assert limits.mail(IP, "alice@example.org", "") is None
    assert limits.mail(IP, "bob@example.org", "") is None


def test_recipients() -> None:
    limits, _ = counter(rule("recipients", "account"))
    answers = [brief(limits.recipient(IP, "alice@example.org", "")) for _ in range(3)]
    assert answers == ["", "", "450 4.7.1"]
    assert limits.mail(IP, "alice@example.org", "") is None


def test_unknown_recipients_end_the_session_and_mail_waits() -> None:
    limits, clock = counter(rule("unknown_recipients"))
    assert limits.mail(IP, "", "a@far.test") is None
    assert [brief(limits.unknown(IP, "", "a@far.test")) for _ in range(3)] == ["", "", "421 4.7.0"]
    refused = limits.mail(IP, "", "a@far.test")
    assert refused is not None
    assert refused.text == ("too many unknown recipients from your address, come back in 30 seconds",)
    assert limits.mail(OTHER, "", "a@far.test") is None
    clock.pass_by(30)
    assert limits.mail(IP, "", "a@far.test") is None


def test_bytes_are_counted_when_they_are_there() -> None:
    limits, clock = counter(rule("bytes", "account", "60M/1m"))
    assert limits.mail(IP, "alice@example.org", "") is None
    limits.stored(IP, "alice@example.org", "", 90 << 20)
    refused = limits.mail(IP, "alice@example.org", "")
    assert refused is not None
    assert refused.text == ("too many bytes of this account, come back in 30 seconds",)
    clock.pass_by(30)
    assert limits.mail(IP, "alice@example.org", "") is None


def test_early_talkers_are_not_let_in_any_more() -> None:
    limits, _ = counter(rule("early_talkers"))
    for _ in range(2):
        assert limits.connected(IP) is None
        limits.early(IP)
    assert brief(limits.connected(IP)) == "421 4.7.0"
    assert limits.connected(OTHER) is None


def test_failed_logins_are_slowed_ever_more_then_refused_for_a_while() -> None:
    limits, clock = counter(rule("auth_failures", rate="7/7h"))
    delays: list[float] = []
    while limits.barred(IP) is None and len(delays) < 20:
        delays.append(limits.failed(IP, "alice"))
    assert delays == [0, 1, 2, 4, 8, MOST_DELAY, MOST_DELAY]
    refused = limits.barred(IP)
    assert refused is not None
    assert brief(refused) == "421 4.7.0"
    assert refused.text == ("too many failed logins from your address, come back in 3600 seconds",)
    assert limits.mail(IP, "", "a@far.test") is None, "mail still comes in from there"
    assert limits.connected(IP) is None
    clock.pass_by(3600)
    assert limits.barred(IP) is None
    assert limits.failed(IP, "alice") == MOST_DELAY
    assert limits.barred(IP) is not None


def test_an_account_under_attack_is_slowed_and_never_locked() -> None:
    limits, _ = counter(rule("auth_failures", "account", "3/1h"))
    delays = [limits.failed(f"192.0.2.{i}", "Alice@example.org") for i in range(30)]
    assert delays[:4] == [0, 1, 2, 4]
    assert delays[-1] == MOST_DELAY
    assert limits.barred("192.0.2.1") is None
    assert limits.failed("192.0.2.1", "bob@example.org") == 0


@pytest.mark.parametrize("ip", [FRIEND, "127.0.0.1", "::1", ""])
def test_the_exempt_never_trip_anything(ip: str) -> None:
    limits, _ = counter(
        rule("connections"),
        rule("messages"),
        rule("messages", "account"),
        rule("messages", "sender_domain"),
        rule("recipients"),
        rule("unknown_recipients"),
        rule("early_talkers"),
        rule("bytes"),
        rule("auth_failures"),
        loopback_exempt=True,
    )
    for _ in range(10):
        assert limits.connected(ip) is None
        limits.early(ip)
        assert limits.mail(ip, "alice@example.org", "a@far.test") is None
        assert limits.recipient(ip, "", "a@far.test") is None
        assert limits.unknown(ip, "", "a@far.test") is None
        limits.stored(ip, "", "a@far.test", 1_000_000)
        assert limits.barred(ip) is None
        assert limits.failed(ip, "alice") == 0
    assert limits.mail(IP, "alice@example.org", "a@far.test") is None, "others do not pay for it"


def test_loopback_counts_unless_it_is_exempt() -> None:
    limits, _ = counter(rule("messages"))
    assert [brief(limits.mail("127.0.0.1", "", "")) for _ in range(3)] == ["", "", "450 4.7.1"]


def test_what_strangers_say_is_bounded_in_memory() -> None:
    limits, _ = counter(rule("auth_failures", "account"))
    for i in range(20_000):
        limits.failed(IP, "x" * 10_000 + str(i))
    assert list(limits.refusals()) == []


def test_the_defaults_are_for_harvesters_and_guessers() -> None:
    limits, _ = counter(*rules_in_force(()))
    for _ in range(120):
        assert limits.mail(IP, "", "") is None
        assert limits.unknown(IP, "", "") is None
    assert limits.unknown(IP, "", "") is not None
    for _ in range(20):
        assert limits.barred(IP) is None
        limits.failed(IP, "alice")
    assert limits.barred(IP) is not None
    for _ in range(1000):
        assert limits.connected(IP) is None
        assert limits.recipient(IP, "", "") is None


def test_keys() -> None:
    assert network_key("192.0.2.1") == "192.0.2.1"
    assert network_key("::ffff:192.0.2.1") == "192.0.2.1"
    assert network_key("2001:DB8::17") == "2001:db8::/64"
    assert network_key("fe80::1%eth0") == "fe80::/64"
    assert network_key("::1") == "::1"
    assert network_key("unknown") == "unknown"
    assert account_key("Alice@Example.org") == "alice@example.org"
    assert (domain_key("a@Far.Test."), domain_key(""), domain_key("postmaster")) == ("far.test", "", "")


@pytest.mark.parametrize(
    "domain", ["bücher.test", "BÜCHER.test", "bü\u00adcher.test", "xn--bcher-kva\u3002test"]
)
def test_a_domain_that_is_written_in_another_way_is_the_same(domain: str) -> None:
    limits, _ = counter(rule("messages", "sender_domain", "1/1h"))
    assert limits.mail(IP, "", "a@xn--bcher-kva.test") is None
    assert brief(limits.mail(IP, "", f"a@{domain}")) == "450 4.7.1"
