"""What counts as what."""

from pathlib import Path

import pytest

from fastsmtp.mail import reply
from fastsmtp.mail.reply import Reply, limited
from fastsmtp.telemetry.meter import Meter, reason_of
from fastsmtp.telemetry.metrics import LIMITS, METRICS, REASONS
from fastsmtp.telemetry.metrics_table import Row

ROOT = Path(__file__).parents[2]


@pytest.fixture
def meter() -> Meter:
    return Meter(Row.alone(), lambda: 0.0)


def counted(meter: Meter, name: str) -> dict[tuple[str, ...], int]:
    return {labels: count for labels, one in meter.row.counters(name).items() if (count := one.get())}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (reply.MAILBOX_UNKNOWN, "unknown_recipient"),
        (reply.RELAY_DENIED, "relay"),
        (reply.NOT_YOUR_ADDRESS, "relay"),
        (limited(450, "7.1", "too much", 3), "limit"),
        (limited(421, "7.0", "too much", 3), "limit"),
        (reply.TOO_MANY_FROM_HOST, "connections"),
        (reply.TOO_MANY_CONNECTIONS, "connections"),
        (reply.SHUTTING_DOWN, "shutdown"),
        (reply.EARLY_TALK, "protocol"),
        (reply.NEED_TLS, "policy"),
        (reply.NEED_AUTH, "policy"),
        (reply.TOO_BIG, "size"),
        (reply.DISK_LOW, "storage"),
        (reply.SPOOL_FAILED, "local"),
        (reply.BARE_LF, "content"),
        (reply.CANNOT_VERIFY, "unverified"),
        (reply.BAD_SENDER_SYNTAX, "address"),
        (reply.ALIAS_LOOP, "local"),
        (Reply(550, "2.1", "disabled"), "other"),
    ],
)
def test_why_something_was_refused_is_known_by_its_reply(said: Reply, reason: str) -> None:
    assert reason_of(said) == reason


def test_every_refusal_has_a_reason() -> None:
    refusals = [one for one in vars(reply).values() if isinstance(one, Reply) and one.code >= 400]
    assert refusals
    assert {reason_of(one) for one in refusals} <= set(REASONS)


def test_a_refusal_counts_by_its_stage(meter: Meter) -> None:
    for stage in ("RCPT", "connect", "MAIL", "AUTH", "DATA", "XCLIENT"):
        meter.rejected(stage, reply.MAILBOX_UNKNOWN)
    assert counted(meter, "fastsmtp_rejected") == {
        (stage, "unknown_recipient"): 1 for stage in ("rcpt", "connect", "mail", "auth", "data", "other")
    }


def test_what_is_not_known_is_other(meter: Meter) -> None:
    meter.login("X-OWN", False)
    meter.login("PLAIN", True)
    meter.handshake("TLSv1.9", True)
    meter.handshake("TLSv1.3", False)
    assert counted(meter, "fastsmtp_logins") == {("other", "refused"): 1, ("PLAIN", "done"): 1}
    assert counted(meter, "fastsmtp_tls_handshakes") == {("other", "yes"): 1, ("TLSv1.3", "no"): 1}


def test_what_goes_under_tls_and_what_does_not(meter: Meter) -> None:
    for tls in ("", "TLSv1.3 TLS_AES_256_GCM_SHA384", "TLSv1.2 ECDHE", "TLSv1.1 RC4"):
        meter.sent_over(tls)
    assert counted(meter, "fastsmtp_outbound_tls") == {
        ("none",): 1,
        ("TLSv1.3",): 1,
        ("TLSv1.2",): 1,
        ("other",): 1,
    }


def test_only_a_delivery_has_a_delay(meter: Meter) -> None:
    meter.delivery("remote", "deferred", 5.0)
    meter.delivery("remote", "delivered", 5.0)
    assert counted(meter, "fastsmtp_deliveries") == {("remote", "deferred"): 1, ("remote", "delivered"): 1}
    values = meter.row.values()
    assert values.tolist().count(5_000_000) == 1


def test_all_that_a_rule_may_count_is_there(meter: Meter) -> None:
    for count in LIMITS:
        meter.limited(count)
    assert len(counted(meter, "fastsmtp_limit_refusals")) == len(LIMITS)


@pytest.mark.parametrize(
    ("status", "named"), [(200, "2xx"), (304, "3xx"), (404, "4xx"), (503, "5xx"), (101, "2xx")]
)
def test_http_by_the_class_of_the_status(meter: Meter, status: int, named: str) -> None:
    meter.http_request(status)
    assert counted(meter, "fastsmtp_http_requests") == {(named,): 1}


def test_every_metric_is_used_where_something_happens() -> None:
    text = "".join(
        (ROOT / "fastsmtp" / name).read_text() for name in ("telemetry/meter.py", "process/gauges.py")
    )
    unused = [
        one.name
        for one in METRICS
        if f'"{one.name.removeprefix("fastsmtp_")}"' not in text.replace('"fastsmtp_', '"')
    ]
    assert unused == []
