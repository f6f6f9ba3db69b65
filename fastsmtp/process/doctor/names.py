"""The DNS: what is published against what the settings need, as `fastsmtp init` prints it."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from ipaddress import ip_address
from pathlib import Path

import dns.rcode
import dns.rdatatype

from fastsmtp.config.values import Endpoint
from fastsmtp.dns.base import DnsTemporary, NoSuchDomain
from fastsmtp.dns.exchange import ExchangeError, exchange
from fastsmtp.dns.pace import Pace
from fastsmtp.dns.servers import servers
from fastsmtp.process.dns_records import records, tlsa_record
from fastsmtp.process.doctor.finding import Finding
from fastsmtp.process.settings import Settings
from fastsmtp.process.setup import PORTS

AREA = "dns"
Ask = Callable[[str, str], Awaitable[list[str]]]
"""From a name and a type to the records, as a zone file has them. Raises `NoSuchDomain`, `DnsTemporary`."""


def asker(settings: Settings) -> Ask:
    """Asks the resolvers of the settings."""
    places, pace = servers(settings.dns.servers), Pace(8)

    async def ask(name: str, kind: str) -> list[str]:
        said = ""
        for server in places:
            try:
                return await _from(server, name, kind, settings.dns.timeout, pace)
            except ExchangeError as error:
                said = f"{server}: {error}"
        raise DnsTemporary(f"{kind} of {name}: {said}")

    return ask


async def _from(server: Endpoint, name: str, kind: str, timeout: float, pace: Pace) -> list[str]:
    message, _ = await exchange(name, dns.rdatatype.from_text(kind), server, timeout, pace)
    if message.rcode() == dns.rcode.NXDOMAIN:
        raise NoSuchDomain(f"{name} does not exist")
    if message.rcode() != dns.rcode.NOERROR:
        raise DnsTemporary(f"{kind} of {name}: {dns.rcode.to_text(message.rcode())}")
    wanted = dns.rdatatype.from_text(kind)
    return [record.to_text() for rrset in message.answer if rrset.rdtype == wanted for record in rrset]


class Zone:
    """Looks at what is published. ``domains`` are ours."""

    def __init__(self, settings: Settings, domains: Sequence[str], ask: Ask) -> None:
        self._host = settings.hostname.lower().rstrip(".")
        self._domains = domains
        self._ask = ask
        self._ports = {one.endpoint.port for one in settings.listeners}
        self._cert = Path(settings.tls.certificates[0].cert) if settings.tls.certificates else None

    async def look(self) -> AsyncIterator[Finding]:
        """All that is to be told."""
        addresses: list[str] = []
        try:
            addresses = [*await self._all(self._host, "A"), *await self._all(self._host, "AAAA")]
            if not addresses:
                yield Finding(
                    "error",
                    AREA,
                    f"{self._host} has no address: nobody can send mail here",
                    f"publish: {self._host}. A ADDRESS",
                )
            for address in addresses:
                async for found in self._reverse(address):
                    yield found
            async for found in self._tlsa():
                yield found
            for domain in self._domains:
                async for found in self._domain(domain.lower(), addresses):
                    yield found
        except DnsTemporary as error:
            yield Finding(
                "error",
                AREA,
                f"the DNS does not answer: {error}",
                "resolvectl status; [dns] servers in the settings",
            )

    async def _all(self, name: str, kind: str) -> list[str]:
        try:
            return await self._ask(name, kind)
        except NoSuchDomain:
            return []

    async def _reverse(self, address: str) -> AsyncIterator[Finding]:
        name = ip_address(address).reverse_pointer
        found = [one.lower().rstrip(".") for one in await self._all(name, "PTR")]
        if self._host not in found:
            said = f"is {found[0]}" if found else "has no name"
            yield Finding(
                "warning",
                AREA,
                f"{address} {said}, not {self._host}: other servers take that for a spammer's",
                f"ask whoever gave you the address to publish: {name}. PTR {self._host}.",
            )

    async def _tlsa(self) -> AsyncIterator[Finding]:
        """A record that is of another key keeps everybody's mail away who looks at it."""
        name = f"_25._tcp.{self._host}"
        published = await self._all(name, "TLSA")
        if not published or self._cert is None:
            return
        try:
            wanted = tlsa_record(self._host, self._cert)[0]
        except (OSError, ValueError):
            return  # the certificates have findings of their own
        digest = wanted.split()[-1]
        exact = [one.split() for one in published]
        ends = [one[:3] == ["3", "1", "1"] and "".join(one[3:]).lower() == digest for one in exact]
        if not any(ends) and any(one[:3] == ["3", "1", "1"] for one in exact):
            yield Finding(
                "error",
                AREA,
                f"{name} names another key than the server's: hosts that follow DANE send nothing",
                f"publish: {wanted}",
            )

    async def _domain(self, domain: str, addresses: Sequence[str]) -> AsyncIterator[Finding]:
        lines = {tuple(line.split(maxsplit=2)[:2]): line for line in records(domain, self._host, addresses)}

        def wanted(name: str, kind: str) -> str:
            return "publish: " + " ".join(lines[f"{name}.", kind].split())

        hosts = [one.lower().rstrip(".").split()[-1] for one in await self._all(domain, "MX")]
        if self._host not in hosts:
            goes = f"mail for {domain} goes to {', '.join(hosts)}, not to {self._host}"
            said = goes if hosts else f"{domain} has no MX record"
            yield Finding("error", AREA, said, wanted(domain, "MX"))
        texts = [_text(one) for one in await self._all(domain, "TXT")]
        spf = [one for one in texts if one.lower().split()[:1] == ["v=spf1"]]
        if not spf:
            yield Finding(
                "warning", AREA, f"{domain} has no SPF record: its mail is distrusted", wanted(domain, "TXT")
            )
        elif len(spf) > 1:
            yield Finding(
                "error",
                AREA,
                f"{domain} has {len(spf)} SPF records, so none counts (RFC 7208 §4.5)",
                "keep one",
            )
        elif re.search(r"(^|\s)[+]?all(\s|$)", spf[0]):
            yield Finding(
                "error", AREA, f"the SPF record of {domain} lets anybody send", wanted(domain, "TXT")
            )
        dmarc = [_text(one) for one in await self._all(f"_dmarc.{domain}", "TXT")]
        if not any(one.startswith("v=DMARC1") for one in dmarc):
            yield Finding("warning", AREA, f"{domain} has no DMARC record", wanted(f"_dmarc.{domain}", "TXT"))
        async for found in self._services(domain, wanted):
            yield found
        async for found in self._sts(domain):
            yield found
        yield Finding("note", AREA, f"mail of {domain} is not signed (DKIM): this server does not sign yet")

    async def _services(self, domain: str, wanted: Callable[[str, str], str]) -> AsyncIterator[Finding]:
        """Where mail programs find how to send (RFC 8314 §5.1)."""
        for service, port in (("_submissions._tcp", PORTS[2]), ("_submission._tcp", PORTS[1])):
            if port not in self._ports:
                continue
            found = [one.lower().rstrip(".").split() for one in await self._all(f"{service}.{domain}", "SRV")]
            if not any(one[2:] == [str(port), self._host] for one in found):
                yield Finding(
                    "note",
                    AREA,
                    f"mail programs of {domain} do not find port {port} by themselves",
                    wanted(f"{service}.{domain}", "SRV"),
                )

    async def _sts(self, domain: str) -> AsyncIterator[Finding]:
        texts = [_text(one) for one in await self._all(f"_mta-sts.{domain}", "TXT")]
        if not any(one.startswith("v=STSv1") for one in texts):
            yield Finding(
                "note", AREA, f"{domain} has no MTA-STS policy", f"fastsmtp init {domain} prints the records"
            )
        elif not await self._all(f"mta-sts.{domain}", "A") and not await self._all(
            f"mta-sts.{domain}", "AAAA"
        ):
            yield Finding(
                "warning",
                AREA,
                f"{domain} announces an MTA-STS policy, but mta-sts.{domain} has no address",
                f"publish an address of a web server for mta-sts.{domain}, or remove _mta-sts.{domain}",
            )


def look(settings: Settings, domains: Sequence[str], ask: Ask) -> list[Finding]:
    """See `Zone.look`."""

    async def all_of() -> list[Finding]:
        return [found async for found in Zone(settings, domains, ask).look()]

    return asyncio.run(all_of())


def _text(record: str) -> str:
    """A TXT record's strings, joined."""
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', record)) or record
