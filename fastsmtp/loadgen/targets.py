"""Targets as the command line names them."""

import ipaddress
import re
import socket

from fastsmtp.loadgen.plan import Target

_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:=]+)):(?P<port>\d{1,5})")
DEFAULT = "127.0.0.1:2525"


def parse_target(text: str, name: str | None = None) -> Target:
    """Reads ``HOST:PORT`` (IPv6 in brackets) and looks the host up.

    Raises ValueError with one line that says what is wrong.
    """
    target = parse_listen(text)
    if not target.port:
        raise ValueError(f"{text!r}: there is no port 0 to connect to")
    return Target(name or text, target.host, target.port)


def parse_listen(text: str) -> Target:
    """Reads ``HOST:PORT`` to listen on; port 0 stands for any that is free. Raises ValueError with one line."""
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ValueError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:2525 or [::1]:2525")
    host, port = match["six"] or match["host"], int(match["port"])
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        raise ValueError(f"{host}: {reason}") from None
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    # a server on this machine is most often bound to the IPv4 loopback only
    addresses.sort(key=lambda address: ":" in address)
    return Target(text, str(ipaddress.ip_address(addresses[0])), port)


def parse_label(text: str) -> Target:
    """Reads ``NAME=HOST:PORT``. Raises ValueError with one line."""
    name, equals, address = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"{text!r} is not NAME=HOST:PORT")
    return parse_target(address, name.strip())
