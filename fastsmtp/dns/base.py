"""What a resolver is asked and what it answers.

A name that exists without records of the type is an empty answer; a name that does not exist, and a look-up that
came to no answer, are errors of different kinds, because only the second one may be better later.
"""

from typing import Protocol

from msgspec import Struct


class DnsError(Exception):
    """A look-up without an answer; the text is one line and names what was asked for."""


class NoSuchDomain(DnsError):
    """The name does not exist (NXDOMAIN, RFC 8020), or cannot be one: permanent."""


class DnsTemporary(DnsError):
    """No answer that can be used: no server reached, one that failed, an answer that contradicts itself."""


class Mx(Struct, frozen=True, gc=False):
    """One mail exchanger (RFC 5321 §5.1). ``host`` in lower case and without its final dot; empty for the root,
    which says that the domain takes no mail (RFC 7505)."""

    preference: int
    host: str


class MxRecords(Struct, frozen=True):
    """The MX records of a domain by preference. ``secure``: a validating resolver vouches for them (the AD bit, RFC
    4035 §3.2.3), also for there being none. ``unusable`` counts records whose host cannot be a host's name: with
    none left beside them, the domain still has MX records."""

    records: tuple[Mx, ...] = ()
    secure: bool = False
    unusable: int = 0


class Addresses(Struct, frozen=True, gc=False):
    """The addresses of a host, as text. ``name`` is where its aliases ended; ``secure`` says that both families,
    with all aliases on the way, are vouched for."""

    v6: tuple[str, ...] = ()
    v4: tuple[str, ...] = ()
    secure: bool = False
    name: str = ""


class Texts(Struct, frozen=True):
    """The TXT records of a name, each with its strings joined."""

    records: tuple[bytes, ...] = ()
    secure: bool = False


class Tlsa(Struct, frozen=True, gc=False):
    """One TLSA record (RFC 6698 §2.1)."""

    usage: int
    selector: int
    matching: int
    data: bytes


class TlsaRecords(Struct, frozen=True):
    """The TLSA records of a name. Without ``secure`` they mean nothing (RFC 7672 §2.2). ``unusable`` counts those
    that are not well-formed."""

    records: tuple[Tlsa, ...] = ()
    secure: bool = False
    unusable: int = 0


class Resolver(Protocol):
    """Looks names up. Each name is taken as absolute; letters outside ASCII become A-labels (RFC 5890). All raise
    `NoSuchDomain` and `DnsTemporary`."""

    async def mx(self, domain: str) -> MxRecords:
        """The mail exchangers of ``domain``, by preference."""

    async def addresses(self, host: str) -> Addresses:
        """The addresses of ``host``. Temporary only when neither family gave an address and one did not answer."""

    async def txt(self, name: str) -> Texts:
        """The texts of ``name``."""

    async def tlsa(self, name: str) -> TlsaRecords:
        """The TLSA records of ``name``, such as ``_25._tcp.mx.example.org``."""
