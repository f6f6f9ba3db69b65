"""Where mail goes, as the transport is told; made from a route, the DNS and the policy by whoever hands out jobs."""

from collections.abc import Sequence

from fastsmtp.sasl.client import Credentials
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
        # a text, because a text's hash is computed once
        self.key = repr((site, self.protections, lmtp, implicit, account))
