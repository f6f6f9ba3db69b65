"""The resolver of a worker: asks the servers of its settings and keeps what they say.

Made after the fork and used by one loop; it has no thread, and no socket but those of the questions on their way.
"""

import asyncio
from collections.abc import Sequence
from typing import TypeVar

import dns.rdatatype
from dns.rdatatype import RdataType
from msgspec import Struct

from fastsmtp.clock import Clock
from fastsmtp.config.values import Endpoint
from fastsmtp.dns.answers import Answer, AnswerError, Record, read
from fastsmtp.dns.base import (
    Addresses,
    DnsError,
    DnsTemporary,
    Mx,
    MxRecords,
    NoSuchDomain,
    Texts,
    Tlsa,
    TlsaRecords,
)
from fastsmtp.dns.cache import Cache, Kept
from fastsmtp.dns.exchange import ExchangeError, exchange
from fastsmtp.dns.names import normal
from fastsmtp.dns.pace import Pace
from fastsmtp.dns.settings import DnsSettings

AT_ONCE = 1000
"""Questions on their way at the same time, each with a socket; further ones wait."""
PER_TURN = 8
"""Questions written or answers read in one turn of the loop: each takes 0.1 to 0.3 ms of its time."""
SHORTEST = 10.0
"""Seconds an answer is kept at least, so that a hostile zone cannot make every mail a question."""
LONGEST = 86_400.0
"""Seconds it is kept at most (RFC 8767 §4 asks for a limit)."""
LONGEST_WITHOUT = 10_800.0
"""The same for names and records that are not there (RFC 2308 §5)."""
AFTER_FAILURE = 5.0
"""Seconds a failed look-up is kept (RFC 9520 §3.2): a resolver in trouble is not asked again for every mail."""
_ALIASES = 8
"""Questions one name may take when each answer is an alias that leads on."""
_WEIGHT = 32 << 20
"""Bytes of answers a worker keeps, about."""
_ENTRY, _FACTOR = 1200, 6
"""Bytes of memory an answer takes, and those of each of its bytes on the wire, about."""

T = TypeVar("T")


class _Failed(Struct, frozen=True):
    """A look-up that came to nothing. The exception is made anew for each asker: a kept one would gather their
    tracebacks."""

    kind: type[DnsError]
    text: str


_Key = tuple[str, RdataType]
_Outcome = Answer | _Failed


class NetworkResolver:
    """A `Resolver`. ``servers`` are asked in turn, the one that answered last first; ``timeout`` seconds for each
    answer, ``tries`` rounds. ``trust_ad``: see `DnsSettings`."""

    def __init__(self, servers: Sequence[Endpoint], clock: Clock, settings: DnsSettings) -> None:
        self._servers = list(servers)
        self._timeout = settings.timeout
        self._tries = settings.tries
        self._trust_ad = settings.trust_ad
        self._cache: Cache[_Key, _Outcome] = Cache(clock, entries=settings.cache, weight=_WEIGHT)
        self._free = asyncio.Semaphore(AT_ONCE)
        self._pace = Pace(PER_TURN)

    async def mx(self, domain: str) -> MxRecords:
        """See `Resolver.mx`."""
        answer = await self._ask(domain, RdataType.MX)
        records = _only(answer.records, Mx)
        return MxRecords(records, answer.secure, len(answer.records) - len(records))

    async def addresses(self, host: str) -> Addresses:
        """See `Resolver.addresses`."""
        v6, v4 = self._cache.get((host, RdataType.AAAA)), self._cache.get((host, RdataType.A))
        if v6 is None or v4 is None:
            v6, v4 = await asyncio.gather(
                self._outcome(host, RdataType.AAAA), self._outcome(host, RdataType.A)
            )
        outcomes = (v6, v4)
        answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
        if not any(answer.records for answer in answers):
            # NXDOMAIN is said of a name, so of both families; but some servers say it of a family they know nothing
            # of, so it must not hide the other one's addresses.
            for kind in (NoSuchDomain, DnsTemporary):
                for outcome in outcomes:
                    if isinstance(outcome, _Failed) and outcome.kind is kind:
                        raise outcome.kind(outcome.text)
        return Addresses(
            v6=_only(v6.records, str) if isinstance(v6, Answer) else (),
            v4=_only(v4.records, str) if isinstance(v4, Answer) else (),
            # A family that did not answer does not count: else whoever can suppress it could talk DANE away.
            secure=all(answer.secure for answer in answers),
            name=answers[0].name,
        )

    async def txt(self, name: str) -> Texts:
        """See `Resolver.txt`."""
        answer = await self._ask(name, RdataType.TXT)
        return Texts(_only(answer.records, bytes), answer.secure)

    async def tlsa(self, name: str) -> TlsaRecords:
        """See `Resolver.tlsa`."""
        answer = await self._ask(name, RdataType.TLSA)
        records = _only(answer.records, Tlsa)
        return TlsaRecords(records, answer.secure, len(answer.records) - len(records))

    def close(self) -> None:
        """Give up what is on its way."""
        self._cache.close()

    async def _ask(self, name: str, kind: RdataType) -> Answer:
        outcome = self._cache.get((name, kind))
        if outcome is None:
            outcome = await self._outcome(name, kind)
        if isinstance(outcome, _Failed):
            raise outcome.kind(outcome.text)
        return outcome

    async def _outcome(self, name: str, kind: RdataType) -> _Outcome:
        try:
            absolute = normal(name)
        except ValueError as error:
            return _Failed(NoSuchDomain, f"DNS: {name[:100]!a}: {error}")
        return await self._cache.ask((absolute, kind), lambda: self._look_up(absolute, kind))

    async def _look_up(self, name: str, kind: RdataType) -> Kept[_Outcome]:
        try:
            answer, length = await self._follow(name, kind)
        except DnsTemporary as error:
            text = str(error)
            return Kept(_Failed(DnsTemporary, text), AFTER_FAILURE, _ENTRY + len(text))
        longest = LONGEST if answer.records else LONGEST_WITHOUT
        ttl = min(max(answer.ttl, SHORTEST), longest)
        if not answer.exists:
            text = f"DNS: {name} does not exist"
            return Kept(_Failed(NoSuchDomain, text), ttl, _ENTRY + len(text))
        return Kept(answer, ttl, _ENTRY + _FACTOR * length)

    async def _follow(self, name: str, kind: RdataType) -> tuple[Answer, int]:
        """Ask, and ask on where an answer ends with an alias: a resolver follows it itself (RFC 1034 §5.2.2), but not
        each one does for zones of its own."""
        secure, ttl, at = True, LONGEST, name
        for _ in range(_ALIASES):
            answer, length = await self._ask_servers(at, kind)
            secure, ttl = secure and answer.secure, min(ttl, answer.ttl)
            if answer.complete:
                complete = Answer(answer.records, answer.name, answer.exists, ttl, True, secure)
                return complete, length
            at = answer.name
        raise DnsTemporary(f"DNS: {dns.rdatatype.to_text(kind)} of {name}: a chain of aliases without an end")

    async def _ask_servers(self, name: str, kind: RdataType) -> tuple[Answer, int]:
        said = ""
        async with self._free:
            for _ in range(self._tries):
                for server in tuple(self._servers):
                    try:
                        message, length = await exchange(name, kind, server, self._timeout, self._pace)
                        answer = read(message)
                    except (ExchangeError, AnswerError) as error:
                        said = f"{server}: {error}"
                        continue
                    self._prefer(server)
                    return self._believed(answer, server), length
        raise DnsTemporary(f"DNS: {dns.rdatatype.to_text(kind)} of {name}: {said}")

    def _prefer(self, server: Endpoint) -> None:
        if self._servers[0] != server:
            self._servers.remove(server)
            self._servers.insert(0, server)

    def _believed(self, answer: Answer, server: Endpoint) -> Answer:
        """An AD bit from another machine may be of whoever is in between (RFC 7672 §1.3: the path to a validating
        resolver has to be secure)."""
        if answer.secure and not (server.loopback or self._trust_ad):
            return Answer(answer.records, answer.name, answer.exists, answer.ttl, answer.complete, False)
        return answer


def _only(records: Sequence[Record], kind: type[T]) -> tuple[T, ...]:
    return tuple(record for record in records if isinstance(record, kind))
