"""Values that settings of several packages hold as text: socket addresses, networks, host names, durations."""

import ipaddress
import re
import socket
from typing import NamedTuple

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_DURATION = re.compile(r"(?=[0-9])(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?")
_UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}


class Endpoint(NamedTuple):
    """Where to listen or connect: ``family`` AF_INET or AF_INET6, ``host`` an address and never a name."""

    family: socket.AddressFamily
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.family == socket.AF_INET6 else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback


def parse_endpoint(text: str) -> Endpoint:
    """``127.0.0.1:2525`` or ``[::1]:2525``; raises ValueError saying what is wrong. Names are refused: what
    they resolve to may change between two starts."""
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise ValueError(f'expected ADDRESS:PORT such as "127.0.0.1:2525" or "[::1]:2525", got "{text}"')
    if not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ValueError(f'expected a port up to 65535, got "{port}" in "{text}"')
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        raise ValueError(f'expected an IP address before the port, not a name, got "{text}"') from None
    if bracketed != (address.version == 6):
        raise ValueError(f'IPv6 addresses stand in brackets, IPv4 ones do not: "{text}"')
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    return Endpoint(family, str(address), int(port))


class HostPort(NamedTuple):
    """A host to connect to: ``host`` a name or an IP address without brackets."""

    host: str
    port: int


def parse_host_port(text: str) -> HostPort:
    """``mail.example.org:25``, ``192.0.2.1:25`` or ``[2001:db8::1]:25``; raises ValueError saying what is
    wrong."""
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise ValueError(
            f'expected HOST:PORT such as "mail.example.org:25" or "[2001:db8::1]:25", got "{text}"'
        )
    if not (port.isascii() and port.isdigit() and len(port) <= 5) or not 0 < int(port) <= 65_535:
        raise ValueError(f'expected a port between 1 and 65535, got "{port}" in "{text}"')
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        return HostPort(check_hostname(host), int(port))
    if bracketed != (address.version == 6):
        raise ValueError(f'IPv6 addresses stand in brackets, IPv4 ones do not: "{text}"')
    return HostPort(str(address), int(port))


def parse_network(text: str) -> Network:
    """A network such as ``10.0.0.0/8``, ``2001:db8::/32`` or one address; raises ValueError."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f'expected a network such as "10.0.0.0/8" or "::1", got "{text}"') from None
    raise ValueError(f'"{text}" has bits set beyond its prefix; did you mean "{meant}"?')


def parse_ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address a socket gave, without scope, an IPv4 one mapped into IPv6 as IPv4; None when it is
    none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def check_hostname(name: str) -> str:
    """``name`` when it can stand in a greeting and in Received (RFC 5321 §2.3.5); raises ValueError."""
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f'expected a host name such as "mx.example.org", got "{name}"')
    if labels[-1].isdigit():
        raise ValueError(f'expected a host name, not an address, got "{name}"')
    return name


class Duration(float):
    """Seconds that a person writes as ``90s``, ``5m``, ``1h30m`` or ``5d``, and is shown as such."""

    __slots__ = ()

    def __str__(self) -> str:
        parts, rest = "", float(self)
        for unit in "dhm":
            count, rest = divmod(rest, _UNITS[unit])
            parts += f"{int(count)}{unit}" if count else ""
        return parts + (f"{rest:g}s" if rest or not parts else "")


def parse_duration(text: str) -> Duration:
    """``90s``, ``5m``, ``1h30m``, ``5d``: whole numbers of days, hours, minutes and seconds in this order, each
    with its unit; raises ValueError."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f'expected a duration such as "90s", "5m", "1h30m" or "5d", got "{text}"')
    return Duration(
        sum(int(count or 0) * seconds for count, seconds in zip(match.groups(), _UNITS.values(), strict=True))
    )
