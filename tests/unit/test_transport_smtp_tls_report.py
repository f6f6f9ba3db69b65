"""What is counted of TLS."""

import ssl

import pytest

from fastsmtp.transport.smtp.tls_report import (
    MOST_DOMAINS,
    MOST_FAILURES,
    TOLD_EACH,
    Failure,
    Tally,
    TlsReport,
    result_of,
)
from tests.fakes.clock import FakeClock


def test_counters() -> None:
    report = TlsReport()
    report.success("far.test", "sts")
    report.success("far.test", "sts")
    report.success("far.test", "tlsa")
    report.failure("far.test", "sts", "certificate-expired", "mx.far.test")
    report.failure("far.test", "sts", "certificate-expired", "mx.far.test")
    report.failure("far.test", "sts", "certificate-expired", "mx2.far.test")
    report.failure("far.test", "sts", "sts-policy-fetch-error")
    assert report.snapshot() == [
        Tally(
            "far.test",
            "sts",
            2,
            (
                (Failure("certificate-expired", "mx.far.test"), 2),
                (Failure("certificate-expired", "mx2.far.test"), 1),
                (Failure("sts-policy-fetch-error", ""), 1),
            ),
        ),
        Tally("far.test", "tlsa", 1, ()),
    ]
    assert report.dropped == 0


def test_what_a_policy_in_testing_would_refuse_is_told_once_an_hour() -> None:
    clock, told = FakeClock(), list[str]()
    report = TlsReport(clock, told.append)
    for _ in range(3):
        report.would_refuse("far.test", "mx.far.test", "it offers no TLS")
    report.would_refuse("near.test", "mx.near.test", "TLS failed")
    assert told == [
        "the MTA-STS policy of far.test, which is in testing, would refuse mx.far.test: it offers no TLS",
        "the MTA-STS policy of near.test, which is in testing, would refuse mx.near.test: TLS failed",
    ]
    clock.pass_by(TOLD_EACH)
    report.would_refuse("far.test", "mx.far.test", "it offers no TLS")
    assert len(told) == 3


def test_the_domains_are_bounded() -> None:
    report = TlsReport()
    for i in range(MOST_DOMAINS + 3):
        report.success(f"d{i}.test", "no-policy-found")
    report.failure("late.test", "sts", "validation-failure")
    report.success("d1.test", "no-policy-found")
    assert len(report.snapshot()) == MOST_DOMAINS
    assert report.snapshot()[1].successes == 2
    assert report.dropped == 4


def test_the_kinds_of_failure_are_bounded() -> None:
    report = TlsReport()
    for i in range(MOST_FAILURES + 2):
        report.failure("far.test", "sts", "certificate-expired", f"mx{i}.far.test")
    report.failure("far.test", "sts", "certificate-expired", "mx0.far.test")
    (tally,) = report.snapshot()
    assert len(tally.failures) == MOST_FAILURES
    assert tally.failures[0][1] == 2
    assert report.dropped == 2


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (10, "certificate-expired"),
        (9, "certificate-expired"),
        (62, "certificate-host-mismatch"),
        (18, "certificate-not-trusted"),
        (20, "certificate-not-trusted"),
        (7, "validation-failure"),
    ],
)
def test_what_a_handshake_failed_by(code: int, expected: str) -> None:
    error = ssl.SSLCertVerificationError()
    error.verify_code = code
    assert result_of(error) == expected


def test_any_other_error() -> None:
    assert result_of(ssl.SSLError("no cipher")) == "validation-failure"
    assert result_of(TimeoutError()) == "validation-failure"
