"""A resolver whose answers stand in dictionaries."""

from fastsmtp.dns.base import (
    Addresses,
    DnsTemporary,
    Mx,
    MxRecords,
    NoSuchDomain,
    Texts,
    Tlsa,
    TlsaRecords,
)


class FakeResolver:
    """A `Resolver`. What is in no dictionary does not exist, except that a host or a domain without the type that is
    asked for exists when it stands in another one. ``failing`` names give `DnsTemporary`; ``secure`` are the names
    that are vouched for. ``asked`` has each question in its order, as ``"mx far.test"``."""

    def __init__(self) -> None:
        self.mxs: dict[str, list[tuple[int, str]]] = {}
        self.hosts: dict[str, list[str]] = {}
        self.aliases: dict[str, str] = {}
        self.txts: dict[str, list[bytes]] = {}
        self.tlsas: dict[str, list[Tlsa]] = {}
        self.failing: set[str] = set()
        self.secure: set[str] = set()
        self.unusable: dict[str, int] = {}
        self.asked: list[str] = []

    async def mx(self, domain: str) -> MxRecords:
        """See `Resolver.mx`."""
        self._ask("mx", domain, domain in self.mxs or domain in self.unusable)
        records = sorted(self.mxs.get(domain, []))
        return MxRecords(
            tuple(Mx(preference, host) for preference, host in records),
            domain in self.secure,
            self.unusable.get(domain, 0),
        )

    async def addresses(self, host: str) -> Addresses:
        """See `Resolver.addresses`."""
        name = self.aliases.get(host, host)
        self._ask("addresses", host, name in self.hosts)
        found = self.hosts.get(name, [])
        return Addresses(
            v6=tuple(address for address in found if ":" in address),
            v4=tuple(address for address in found if ":" not in address),
            secure=host in self.secure,
            name=name,
        )

    async def txt(self, name: str) -> Texts:
        """See `Resolver.txt`."""
        self._ask("txt", name, name in self.txts)
        return Texts(tuple(self.txts.get(name, [])), name in self.secure)

    async def tlsa(self, name: str) -> TlsaRecords:
        """See `Resolver.tlsa`."""
        self._ask("tlsa", name, name in self.tlsas)
        return TlsaRecords(tuple(self.tlsas.get(name, [])), name in self.secure)

    def _ask(self, kind: str, name: str, found: bool) -> None:
        self.asked.append(f"{kind} {name}")
        if name in self.failing:
            raise DnsTemporary(f"DNS: {name}: SERVFAIL")
        if not found and name not in self.mxs and name not in self.hosts:
            raise NoSuchDomain(f"DNS: {name} does not exist")
