"""Where mail goes, as the transport is told; made from a route, the DNS and the policy by whoever hands out jobs."""

from collections.abc import Sequence

from fastsmtp.sasl.client import Credentials
from fastsmtp.transport.smtp.dane import DOMAIN_ISSUED
from fastsmtp.transport.smtp.mx import Host
from fastsmtp.transport.smtp.policy import Protection


class Place:
    """One destination: ``hosts`` in the order of trying, never empty, with one of ``protections`` for each. ``site``
    names the set of hosts. ``lmtp``: whether they speak it. ``implicit``: TLS comes before the greeting, rather than
    by STARTTLS. ``account`` names ``credentials`` to log in with, both without value where nobody logs in.

    A connection serves every job whose place has an equal ``key``, whoever made it.
    """

    __slots__ = ("account", "credentials", "hosts", "implicit", "key", "lmtp", "protections", "site")

    def __init__(
        self,
        site: str,
        hosts: Sequence[Host],
        protections: Sequence[Protection],
        *,
        lmtp: bool = False,
        implicit: bool = False,
        account: str = "",
        credentials: Credentials | None = None,
    ) -> None:
        self.site = site
        self.hosts = tuple(hosts)
        self.protections = tuple(protections)
        self.lmtp = lmtp
        self.implicit = implicit
        self.account = account
        self.credentials = credentials
        asked = sorted(repr(what) for what in map(_asked, self.hosts, self.protections))
        # a text, because a text's hash is computed once
        self.key = repr((site, asked, lmtp, implicit, account))


def _asked(host: Host, needs: Protection) -> tuple[object, ...]:
    """What a connection to ``host`` has to have proven: the same for every domain that is served by it, in whatever
    order its hosts came. Names count where a certificate is held against them (RFC 7672 §3.1.1 asks for none)."""
    named = needs.level == "verify" or any(record.usage != DOMAIN_ISSUED for record in needs.tlsa)
    names = sorted(needs.names) if named else ()
    return host.name, host.port, needs.level, names, needs.tlsa, needs.requiretls, bool(needs.refused)
