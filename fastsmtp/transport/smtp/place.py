"""Where mail goes, as the transport is told: hosts, and what each of them has to prove."""

from collections.abc import Sequence

from msgspec import Struct

from fastsmtp.sasl.client import Credentials
from fastsmtp.transport.smtp.dane import DOMAIN_ISSUED
from fastsmtp.transport.smtp.mx import Host
from fastsmtp.transport.smtp.policy import Protection


class Target(Struct, frozen=True, gc=False):
    """One host, and how it is spoken to. ``lmtp``: by LMTP. ``implicit``: TLS comes before the greeting, rather than
    by STARTTLS. ``account`` names ``credentials`` to log in with, both without value where nobody logs in."""

    host: Host
    needs: Protection
    lmtp: bool = False
    implicit: bool = False
    account: str = ""
    credentials: Credentials | None = None


class Place:
    """One destination: ``targets`` in the order of trying; ``site`` names the set of hosts. A connection serves every
    job whose place has an equal ``key``, whoever made it."""

    __slots__ = ("key", "site", "targets")

    def __init__(self, site: str, targets: Sequence[Target]) -> None:
        self.site = site
        self.targets = tuple(targets)
        # a text, because a text's hash is computed once
        self.key = repr((site, sorted(repr(_asked(target)) for target in self.targets)))


def _asked(target: Target) -> tuple[object, ...]:
    """What a connection has to have proven: the same for every domain that is served by the host, in whatever order
    its hosts came. Names count where a certificate is held against them (RFC 7672 §3.1.1 asks for none)."""
    host, needs = target.host, target.needs
    named = needs.level == "verify" or any(record.usage != DOMAIN_ISSUED for record in needs.tlsa)
    names = sorted(needs.names) if named else ()
    proven = (needs.level, names, needs.tlsa, needs.requiretls, bool(needs.refused))
    return host.name, host.port, target.lmtp, target.implicit, target.account, proven
