"""The header a proxy puts before a connection: the PROXY protocol, versions 1 and 2 (haproxy.org/download/2.8/doc/
proxy-protocol.txt). It is read only from proxies that the settings name."""

import ipaddress

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LONGEST = 2048
"""Octets of a header that are waited for. One of version 1 has 107 at most, one of version 2 few more as a rule."""

_V1_LONGEST = 107
_LOCAL, _PROXIED = 0x20, 0x21
_ADDRESSES = {0x11: 4, 0x21: 16}
"""TCP over IPv4 and IPv6, and how long an address is."""


class ProxyError(Exception):
    """What came is no header; the text is for the log."""


def read(data: bytes) -> tuple[str, int] | None:
    """The client's IP address and how many octets the header has; the address is empty where the proxy speaks for
    itself. None: more is needed. Raises `ProxyError`."""
    if data.startswith(SIGNATURE[: len(data)]):
        return _version_2(data)
    if not data.startswith(b"PROXY "[: len(data)]):
        raise ProxyError("no header of the PROXY protocol")
    end = data.find(b"\r\n", 0, _V1_LONGEST)
    if end >= 0:
        return _version_1(data[:end]), end + 2
    if len(data) >= _V1_LONGEST:
        raise ProxyError("a PROXY header without end")
    return None


def _version_1(line: bytes) -> str:
    words = line.split(b" ")
    if words[1] == b"UNKNOWN":
        return ""
    if len(words) != 6 or words[1] not in (b"TCP4", b"TCP6"):
        raise ProxyError("a PROXY header of another form")
    try:
        source = ipaddress.ip_address(words[2].decode("ascii"))
    except (ValueError, UnicodeDecodeError):
        raise ProxyError("a PROXY header without an address") from None
    if source.version != int(words[1][3:]):
        raise ProxyError("a PROXY header whose address is of the other family")
    return str(source)


def _version_2(data: bytes) -> tuple[str, int] | None:
    if len(data) < 16:
        return None
    command, family = data[12], data[13]
    size = 16 + int.from_bytes(data[14:16], "big")
    if size > LONGEST:
        raise ProxyError("a PROXY header that is too long")
    if command not in (_LOCAL, _PROXIED):
        raise ProxyError("a PROXY header of an unknown version or command")
    if len(data) < size:
        return None
    length = _ADDRESSES.get(family)
    if command == _LOCAL or length is None:
        return "", size
    if size < 16 + 2 * length + 4:
        raise ProxyError("a PROXY header without an address")
    return str(ipaddress.ip_address(data[16 : 16 + length])), size
