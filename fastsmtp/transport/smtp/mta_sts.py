"""MTA-STS (RFC 8461): what a domain demands of the TLS of its mail exchangers, told by its web server and kept."""

import os
import re
from pathlib import Path
from typing import Literal, Protocol

import msgspec
from msgspec import Struct

from fastsmtp.clock import Clock
from fastsmtp.dns.base import DnsError, Resolver
from fastsmtp.dns.cache import Cache, Kept
from fastsmtp.dns.names import matches, normal
from fastsmtp.transport.smtp.tls_report import Result, TlsReport

LARGEST = 65_536
"""Bytes of a policy (RFC 8461 §3.3 suggests such a limit)."""
_MOST_MX = 100
_LONGEST_LIFE = 31_557_600
"""Seconds: the most that max_age can be (RFC 8461 §3.2)."""
CHECKED_EVERY = 300.0
"""Seconds what was found out of a domain holds, also that its policy could not be fetched (RFC 8461 §3.3)."""
_REFRESHED_EVERY = 86_400
"""Seconds after which a policy is fetched although its record has not changed (RFC 8461 §10.2)."""
_MOST_DOMAINS = 2_000
_MOST_FILES = 10_000

_RECORD = re.compile(rb"v=STSv1[ \t]*;(.*)", re.DOTALL)
_ID = re.compile(rb"[A-Za-z0-9]{1,32}")


Mode = Literal["enforce", "testing", "none"]
_MODES: dict[str, Mode] = {"enforce": "enforce", "testing": "testing", "none": "none"}


class StsPolicy(Struct, frozen=True):
    """One policy. ``mx``: names in normal form, or ``*.`` and a name; ``max_age`` in seconds."""

    mode: Mode
    mx: tuple[str, ...]
    max_age: int

    def allows(self, host: str) -> bool:
        """Whether ``host``, in normal form, is an exchanger of this policy (RFC 8461 §4.1)."""
        return any(matches(pattern, host) for pattern in self.mx)


class FetchError(Exception):
    """A policy could not be had; ``result`` as RFC 8460 §4.3.2.2 names it, the text in one line."""

    def __init__(self, result: Result, text: str) -> None:
        super().__init__(text)
        self.result: Result = result


class Fetcher(Protocol):
    """Gets a document by HTTPS."""

    async def fetch(self, url: str) -> bytes:
        """The body that ``url`` has, with status 200 and from the host it names; at most `LARGEST` bytes. Raises
        `FetchError`."""


def read_record(texts: tuple[bytes, ...]) -> bytes | None:
    """The id in the one record of ``_mta-sts`` (RFC 8461 §3.1); None without a record, with two, or with one that
    is not well-formed."""
    found = [match for text in texts if (match := _RECORD.fullmatch(text))]
    if len(found) != 1:
        return None
    for field in found[0][1].split(b";"):
        key, equals, value = field.strip(b" \t").partition(b"=")
        if key == b"id" and equals:
            return value if _ID.fullmatch(value) else None
    return None


def read_policy(data: bytes) -> StsPolicy:
    """The policy in a document (RFC 8461 §3.2). Raises `FetchError`."""
    fields: dict[str, str] = {}
    mx: dict[str, None] = {}
    try:
        lines = data.decode("utf-8").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        raise _invalid("it is not UTF-8") from None
    for line in lines:
        key, colon, value = (part.strip(" \t") for part in line.partition(":"))
        if not colon:
            if key:
                raise _invalid("a line has no colon")
        elif key == "mx":
            mx[_pattern(value)] = None
        else:
            # RFC 8461 §3.2: of a field that stands twice the first counts, fields that nobody knows do not.
            fields.setdefault(key, value)
    if fields.get("version") != "STSv1":
        raise _invalid("its version is not STSv1")
    mode, age = _MODES.get(fields.get("mode", "")), fields.get("max_age", "")
    if mode is None:
        raise _invalid("its mode is not one of enforce, testing and none")
    if not (age.isascii() and age.isdigit() and len(age) <= 10):
        raise _invalid("its max_age is not a number")
    if not mx and mode != "none":
        raise _invalid("it names no mx")
    if len(mx) > _MOST_MX:
        raise _invalid(f"it names more than {_MOST_MX} mx")
    return StsPolicy(mode=mode, mx=tuple(mx), max_age=min(int(age), _LONGEST_LIFE))


def _pattern(text: str) -> str:
    try:
        return "*." + normal(text[2:]) if text.startswith("*.") else normal(text)
    except ValueError:
        raise _invalid("an mx is not a host's name") from None


def _invalid(text: str) -> FetchError:
    return FetchError("sts-policy-invalid", f"the MTA-STS policy is not valid: {text}")


class Stored(Struct, frozen=True):
    """A policy as it is kept: with the ``id`` of its record, and when it was fetched, in seconds since 1970."""

    domain: str
    id: str
    fetched: float
    policy: StsPolicy

    def good(self, now: float) -> bool:
        """Whether its time is not over (a clock that was set back ends it too)."""
        return self.fetched <= now < self.fetched + self.policy.max_age


class PolicyFiles:
    """One small JSON file for each domain, shared by all workers: written beside and moved, so that each reader sees
    a whole one. Not synced: what is lost is fetched again."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._count = 0

    def open(self) -> None:
        """Make the directory, and remove files that were over long ago. Raises OSError."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._count = 0
        dead = self._clock.now() - _LONGEST_LIFE
        for entry in os.scandir(self._directory):
            try:
                if entry.stat().st_mtime < dead:
                    os.unlink(entry)
                else:
                    self._count += 1
            except FileNotFoundError:
                pass  # another worker was here

    def get(self, domain: str) -> Stored | None:
        """What is kept of ``domain``, unless it is over or cannot be read."""
        try:
            data = self._path(domain).read_bytes()
            stored = msgspec.json.decode(data, type=Stored)
        except (OSError, ValueError, RecursionError):
            return None
        return stored if stored.domain == domain and stored.good(self._clock.now()) else None

    def put(self, stored: Stored) -> None:
        """Keep it. A disk that is full, or a directory that is, costs the memory of it and nothing else."""
        path = self._path(stored.domain)
        new = not path.exists()
        if new and self._count >= _MOST_FILES:
            return
        beside = path.with_suffix(f".{os.getpid()}.new")
        try:
            beside.write_bytes(msgspec.json.encode(stored))
            beside.replace(path)
        except OSError:
            beside.unlink(missing_ok=True)
            return
        self._count += new

    def _path(self, domain: str) -> Path:
        # A domain in normal form has neither a slash nor a leading dot. Two long ones may share a file: each finds
        # the other's name in it, and fetches again.
        return self._directory / f"{domain[:200]}.json"


class StsPolicies:
    """The policies of all domains, as one worker sees them."""

    def __init__(
        self, resolver: Resolver, fetcher: Fetcher, files: PolicyFiles, report: TlsReport, clock: Clock
    ) -> None:
        self._resolver = resolver
        self._fetcher = fetcher
        self._files = files
        self._report = report
        self._clock = clock
        self._cache: Cache[str, tuple[StsPolicy | None]] = Cache(
            clock, entries=_MOST_DOMAINS, weight=_MOST_DOMAINS
        )

    async def policy(self, domain: str) -> StsPolicy | None:
        """The policy that holds for ``domain``, in normal form; None when there is none, or its mode is none. Never
        raises: a domain whose policy cannot be had is one without (RFC 8461 §5)."""
        (found,) = await self._cache.ask(domain, lambda: self._kept(domain))
        return found

    def close(self) -> None:
        """Give up what is on its way."""
        self._cache.close()

    async def _kept(self, domain: str) -> Kept[tuple[StsPolicy | None]]:
        stored = await self._find(domain)
        if stored is None:
            return Kept((None,), CHECKED_EVERY, 1)
        left = max(1.0, stored.fetched + stored.policy.max_age - self._clock.now())
        policy = None if stored.policy.mode == "none" else stored.policy
        return Kept((policy,), min(CHECKED_EVERY, left), 1)

    async def _find(self, domain: str) -> Stored | None:
        """RFC 8461 §5.1 and §3.3: a policy that is still good holds when its record has gone, when the new one
        cannot be fetched, and when the DNS is silent: whoever sits in between must not end it."""
        stored = self._files.get(domain)
        try:
            record = read_record((await self._resolver.txt(f"_mta-sts.{domain}")).records)
        except DnsError:
            record = None
        if record is None:
            return stored
        now, number = self._clock.now(), record.decode("ascii")
        if stored is not None and stored.id == number and now < stored.fetched + _REFRESHED_EVERY:
            return stored
        try:
            policy = read_policy(
                await self._fetcher.fetch(f"https://mta-sts.{domain}/.well-known/mta-sts.txt")
            )
        except FetchError as error:
            self._report.failure(domain, "sts", error.result)
            return stored
        fresh = Stored(domain, number, now, policy)
        self._files.put(fresh)
        return fresh
