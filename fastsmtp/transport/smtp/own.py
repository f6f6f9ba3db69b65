"""What is this server's own: its names and the addresses it listens at. Mail that would go there goes in a circle."""

import ipaddress
import socket
from collections.abc import Collection, Iterable

_ALL_V4, _ALL_V6 = "0.0.0.0", "::"  # noqa: S104 - compared with, not bound


class Own:
    """``names`` in normal form; ``listeners``: address and port of each socket, where ``0.0.0.0`` and ``::`` stand
    for all addresses of this machine, the one for those of IPv4 and the other for those of IPv6."""

    def __init__(self, names: Collection[str] = (), listeners: Iterable[tuple[str, int]] = ()) -> None:
        self.names = frozenset(names)
        self._listeners = {(_plain(host), port) for host, port in listeners}

    def listens(self, address: str, port: int) -> bool:
        """Whether a connection to ``port`` of ``address`` would come back to this server."""
        address = _plain(address)
        everywhere = _ALL_V6 if ":" in address else _ALL_V4
        return (address, port) in self._listeners or (
            (everywhere, port) in self._listeners and _is_here(address)
        )


def _plain(address: str) -> str:
    """In one form; an IPv4 address that is written as IPv6 as the one it is."""
    parsed = ipaddress.ip_address(address)
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def _is_here(address: str) -> bool:
    """Whether an interface of this machine has ``address``: only then it can be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
