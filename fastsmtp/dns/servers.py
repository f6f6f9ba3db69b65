"""Which resolvers to ask."""

import ipaddress
from pathlib import Path

from fastsmtp.config.values import Endpoint, parse_endpoint

RESOLV_CONF = Path("/etc/resolv.conf")
_MOST = 3
"""resolv.conf(5): further ones are left out."""


def servers(configured: tuple[str, ...], resolv_conf: Path = RESOLV_CONF) -> tuple[Endpoint, ...]:
    """``configured``, or the ``nameserver`` lines of ``resolv_conf``, or this machine when it has none either, as
    resolv.conf(5) says. A scope such as ``%eth0`` is kept."""
    if configured:
        return tuple(parse_endpoint(text) for text in configured)
    try:
        text = resolv_conf.read_text(errors="replace")
    except OSError:
        text = ""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            endpoint = _endpoint(words[1])
            if endpoint is not None:
                found.append(endpoint)
    return tuple(found[:_MOST]) or (parse_endpoint("127.0.0.1:53"),)


def _endpoint(text: str) -> Endpoint | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return parse_endpoint(f"[{address}]:53" if address.version == 6 else f"{address}:53")
