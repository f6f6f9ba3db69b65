"""How TLS went with each policy domain, counted as RFC 8460 reports it. In memory, and bounded: a report is about the
destinations that mail really went to."""

import ssl
from collections import Counter
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from fastsmtp.clock import Clock

PolicyType = Literal["tlsa", "sts", "no-policy-found"]
"""RFC 8460 §4.4."""

Result = Literal[
    "starttls-not-supported",
    "certificate-host-mismatch",
    "certificate-expired",
    "certificate-not-trusted",
    "validation-failure",
    "tlsa-invalid",
    "dnssec-invalid",
    "dane-required",
    "sts-policy-fetch-error",
    "sts-policy-invalid",
    "sts-webpki-invalid",
]
"""What a session can fail by (RFC 8460 §4.3)."""

MOST_DOMAINS = 10_000
MOST_FAILURES = 50
"""Kinds of failure, by result and host, kept for one domain."""

TOLD_EACH = 3600.0
"""Seconds for which one domain is not told of again."""

_EXPIRED, _NOT_YET_VALID, _HOST_MISMATCH = 10, 9, 62
_NOT_TRUSTED = {2, 18, 19, 20, 21, 24, 27}
"""Numbers of OpenSSL's X509_V_ERR_…: no issuer found, self-signed, an issuer that is no authority."""


class Failure(Struct, frozen=True):
    """A kind of failure: ``host`` is the MX it happened with, empty when it came to none."""

    result: Result
    host: str


class Tally(Struct, frozen=True):
    """What happened under one policy: sessions that succeeded, and failures by kind with their number."""

    domain: str
    policy: PolicyType
    successes: int
    failures: tuple[tuple[Failure, int], ...]


class _Count:
    __slots__ = ("failures", "successes")

    def __init__(self) -> None:
        self.successes = 0
        self.failures: Counter[Failure] = Counter()


class TlsReport:
    """The counters of one worker. ``dropped``: sessions that were not counted because there were too many domains,
    or kinds of failure of one. ``event`` tells the log what a policy in testing would have refused."""

    def __init__(self, clock: Clock | None = None, event: Callable[[str], None] | None = None) -> None:
        self.dropped = 0
        self._clock = clock
        self._event = event
        self._told: dict[str, float] = {}  # domains in testing, and until when nothing more is said of them
        self._counts: dict[tuple[str, PolicyType], _Count] = {}

    def success(self, domain: str, policy: PolicyType) -> None:
        """A session with ``domain`` got the TLS its policy asks for; without a policy: got any."""
        count = self._count(domain, policy)
        if count is not None:
            count.successes += 1

    def failure(self, domain: str, policy: PolicyType, result: Result, host: str = "") -> None:
        """A session did not, by ``result``; also when the mail went on without TLS."""
        count = self._count(domain, policy)
        if count is None:
            return
        kind = Failure(result, host)
        if kind not in count.failures and len(count.failures) >= MOST_FAILURES:
            self.dropped += 1
        else:
            count.failures[kind] += 1

    def would_refuse(self, domain: str, host: str, why: str) -> None:
        """``domain``'s MTA-STS policy is in testing, and ``host`` would get no mail under it (RFC 8461 §5); ``why``
        in one line. Told once an hour for each domain."""
        if self._clock is None or self._event is None:
            return
        now = self._clock.monotonic()
        if self._told.get(domain, now) > now:
            return
        if len(self._told) >= MOST_DOMAINS:
            self._told.pop(next(iter(self._told)))
        self._told.pop(domain, None)
        self._told[domain] = now + TOLD_EACH
        self._event(f"the MTA-STS policy of {domain}, which is in testing, would refuse {host}: {why}")

    def snapshot(self) -> list[Tally]:
        """All counters as they are."""
        return [
            Tally(domain, policy, count.successes, tuple(count.failures.items()))
            for (domain, policy), count in self._counts.items()
        ]

    def _count(self, domain: str, policy: PolicyType) -> _Count | None:
        key = (domain, policy)
        count = self._counts.get(key)
        if count is None:
            if len(self._counts) >= MOST_DOMAINS:
                self.dropped += 1
                return None
            count = self._counts[key] = _Count()
        return count


def result_of(error: Exception) -> Result:
    """What a handshake that ended with ``error`` failed by."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in (_EXPIRED, _NOT_YET_VALID):
            return "certificate-expired"
        if error.verify_code == _HOST_MISMATCH:
            return "certificate-host-mismatch"
        if error.verify_code in _NOT_TRUSTED:
            return "certificate-not-trusted"
    return "validation-failure"
