"""From a hop to the hosts that take its mail, in the order of trying (RFC 5321 §5.1)."""

import asyncio
import hashlib
import ipaddress
from collections.abc import Collection, Sequence
from random import Random

from msgspec import Struct
from msgspec.structs import replace

from fastsmtp.dns.base import Addresses, DnsError, DnsTemporary, Mx, NoSuchDomain, Resolver
from fastsmtp.dns.names import normal
from fastsmtp.mail.result import printable
from fastsmtp.routing.route import Hop
from fastsmtp.transport.smtp.own import Own

MOST_HOSTS = 10
"""Hosts of one destination that are looked up and tried; RFC 5321 §5.1 wants at least two and allows a limit."""
_LONGEST_SITE = 200
_LONGEST_SHOWN = 100
_SMTP_PORT = 25


class Host(Struct, frozen=True, gc=False):
    """One host to try. ``name`` is what the MX record, or the route, calls it: in normal form, or an address."""

    name: str
    port: int
    addresses: Addresses
    preference: int = 0


class Destination(Struct, frozen=True):
    """Where mail of one hop goes.

    ``domain``: what was looked up, in normal form. ``site``: a text that is the same for all destinations served by
    the same hosts, at most a few hundred letters. ``hosts``: never empty. ``mx``: whether the hosts come from the
    DNS rather than from the settings. ``secure``: whether nobody on the way can have chosen them: a validating
    resolver vouches for the MX records, or the settings name the host.
    """

    domain: str
    site: str
    hosts: tuple[Host, ...]
    mx: bool
    secure: bool


class Unroutable(Exception):
    """There is no host to try. ``enhanced`` is the status of RFC 3463, "5.…" when trying again is in vain; the
    text is one line."""

    def __init__(self, enhanced: str, text: str) -> None:
        super().__init__(text)
        self.enhanced = enhanced


async def targets(
    hop: Hop, own: Own, *, resolver: Resolver, rng: Random, most: int = MOST_HOSTS
) -> Destination:
    """The hosts of ``hop``; at most ``most``, and not this server, which is ``own``. Raises `Unroutable`."""
    address = literal(hop.host)
    if address is not None:
        return _at_address(hop, address, own)
    try:
        domain = normal(hop.host)
    except ValueError as error:
        raise Unroutable("5.1.2", f"{printable(hop.host, _LONGEST_SHOWN)}: {error}") from None
    if hop.kind == "mx":
        return await _by_mx(hop, domain, own, resolver, rng, most)
    host = Host(name=domain, port=hop.port, addresses=await _addresses(resolver, domain))
    if _is_own(host, own):
        raise _loop(f"{domain}:{hop.port}")
    return Destination(domain=domain, site=f"{domain}:{hop.port}", hosts=(host,), mx=False, secure=True)


def literal(text: str) -> str | None:
    """The address that ``text`` is: bare, or as RFC 5321 §4.1.3 writes it after an at sign: ``[192.0.2.1]``,
    ``[IPv6:2001:db8::1]``. None for anything else."""
    bare = text
    if text.startswith("[") and text.endswith("]"):
        bare = text[1:-1]
        if bare[:5].lower() == "ipv6:":
            bare = bare[5:]
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return None


def site_of(hosts: Collection[str], port: int = _SMTP_PORT) -> str:
    """The site's name: its hosts in order, in part by their hash when they are many."""
    names = sorted(set(hosts))
    text = ",".join(names)
    if len(text) > _LONGEST_SITE:
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        text = f"{names[0]},{len(names) - 1} more #{digest}"
    return text if port == _SMTP_PORT else f"{text}:{port}"


def _at_address(hop: Hop, address: str, own: Own) -> Destination:
    parsed = ipaddress.ip_address(address)
    if not _usable(address):
        raise Unroutable("5.1.2", f"[{address}] is not the address of a host")
    found = Addresses(v6=(address,)) if parsed.version == 6 else Addresses(v4=(address,))
    name = f"[{address}]"
    host = Host(name=name, port=hop.port, addresses=found)
    if _is_own(host, own):
        raise _loop(f"{name}:{hop.port}")
    return Destination(
        domain=name, site=f"{name}:{hop.port}", hosts=(host,), mx=False, secure=hop.kind != "mx"
    )


async def _by_mx(hop: Hop, domain: str, own: Own, resolver: Resolver, rng: Random, most: int) -> Destination:
    try:
        answer = await resolver.mx(domain)
    except NoSuchDomain:
        raise Unroutable("5.1.2", f"{domain}: there is no such domain") from None
    except DnsError as error:
        raise Unroutable("4.4.3", str(error)) from None
    named = [mx for mx in answer.records if mx.host]
    if not named:
        if answer.records:
            # RFC 7505 §3: the root alone is the domain's word that it takes no mail; beside others it means nothing.
            raise Unroutable("5.1.10", f"{domain} takes no mail: its MX is null")
        if answer.unusable:
            raise Unroutable("5.4.4", f"{domain}: none of its MX records names a host")
        return await _implicit(hop, domain, own, resolver, answer.secure)
    left = _without_loop(named, own.names)
    if not left:
        raise _ends_here(domain)
    # Equals in an order of chance, so that they share the load (RFC 5321 §5.1).
    order = sorted(left, key=lambda mx: (mx.preference, rng.random()))
    hosts = _closer(await _look_up(resolver, domain, order[:most], hop.port), own)
    if not hosts:
        raise _ends_here(domain)
    site = site_of([mx.host for mx in named], hop.port)
    return Destination(domain=domain, site=site, hosts=hosts, mx=True, secure=answer.secure)


async def _implicit(hop: Hop, domain: str, own: Own, resolver: Resolver, secure: bool) -> Destination:
    """Without MX records the domain itself is the host (RFC 5321 §5.1)."""
    if domain in own.names:
        raise Unroutable("5.4.6", f"{domain} is this server, but not a domain of ours")
    found = await _addresses(resolver, domain)
    if found.name in own.names:
        raise Unroutable("5.4.6", f"{domain} is {found.name}, this server, but not a domain of ours")
    site = site_of([found.name or domain], hop.port)
    host = Host(name=domain, port=hop.port, addresses=found)
    if _is_own(host, own):
        raise _ends_here(domain)
    return Destination(domain=domain, site=site, hosts=(host,), mx=True, secure=secure)


def _without_loop(records: Sequence[Mx], own_names: Collection[str]) -> list[Mx]:
    """``records`` without repetitions and, when this server is among them, without those that are not closer to
    the mailbox than it is (RFC 5321 §5.1)."""
    ours = min((mx.preference for mx in records if mx.host in own_names), default=None)
    first: dict[str, Mx] = {}
    for mx in sorted(records, key=lambda mx: mx.preference):
        if ours is None or mx.preference < ours:
            first.setdefault(mx.host, mx)
    return list(first.values())


def _closer(hosts: Sequence[Host], own: Own) -> tuple[Host, ...]:
    """``hosts`` without those that have an address of this server's, and without those that are not closer to the
    mailbox than it is."""
    ours = min((host.preference for host in hosts if _is_own(host, own)), default=None)
    return tuple(host for host in hosts if ours is None or host.preference < ours)


def _is_own(host: Host, own: Own) -> bool:
    return any(own.listens(address, host.port) for address in (*host.addresses.v6, *host.addresses.v4))


def _ends_here(domain: str) -> Unroutable:
    return Unroutable("5.4.6", f"{domain}: mail for it ends here by its MX, but it is not a domain of ours")


def _loop(where: str) -> Unroutable:
    return Unroutable("5.4.6", f"{where} is this server itself: mail would go in a circle")


async def _look_up(resolver: Resolver, domain: str, order: Sequence[Mx], port: int) -> tuple[Host, ...]:
    """The hosts of ``order`` that have an address. A host that cannot be looked up holds no other back."""
    found = await asyncio.gather(*(_addresses(resolver, mx.host) for mx in order), return_exceptions=True)
    hosts, reasons, temporary = [], [], False
    for mx, addresses in zip(order, found, strict=True):
        if isinstance(addresses, Unroutable):
            reasons.append(str(addresses))
            temporary = temporary or addresses.enhanced.startswith("4")
        elif isinstance(addresses, BaseException):
            raise addresses
        else:
            hosts.append(Host(name=mx.host, port=port, addresses=addresses, preference=mx.preference))
    if not hosts:
        status = "4.4.3" if temporary else "5.4.4"
        more = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
        raise Unroutable(status, f"{domain}: no MX host has an address: {reasons[0]}{more}")
    return tuple(hosts)


async def _addresses(resolver: Resolver, host: str) -> Addresses:
    """What RFC 3463 calls 5.1.2 is a name that does not exist, 5.4.4 one that exists and leads nowhere."""
    try:
        found = await resolver.addresses(host)
    except NoSuchDomain:
        raise Unroutable("5.1.2", f"{host}: there is no such host") from None
    except DnsTemporary as error:
        raise Unroutable("4.4.3", str(error)) from None
    usable = replace(
        found,
        v6=tuple(address for address in found.v6 if _usable(address)),
        v4=tuple(address for address in found.v4 if _usable(address)),
    )
    if not (usable.v6 or usable.v4):
        raise Unroutable("5.4.4", f"{host} has no address to connect to")
    return usable


def _usable(address: str) -> bool:
    """Whether a host can have it: 0.0.0.0 and :: would connect to this machine, the others to many."""
    parsed = ipaddress.ip_address(address)
    return not (parsed.is_unspecified or parsed.is_multicast or address == "255.255.255.255")
