"""From a route's hops to a place: look-ups and policies, before a job is handed out."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from random import Random

from fastsmtp.dns.base import Resolver
from fastsmtp.routing.credentials import Credential
from fastsmtp.routing.route import Hop
from fastsmtp.sasl.client import Credentials
from fastsmtp.transport.smtp.mx import Destination, Host, Unroutable, targets
from fastsmtp.transport.smtp.own import Own
from fastsmtp.transport.smtp.place import Place, Target
from fastsmtp.transport.smtp.policy import Policies

_SUBMISSIONS = 465
"""The port on which TLS comes first (RFC 8314 §3.3)."""
_LONGEST_SITE = 200


class Guide:
    """Finds places, none of which is this server itself, ``own``; one for a worker."""

    def __init__(self, own: Own, *, resolver: Resolver, policies: Policies, rng: Random) -> None:
        self._own = own
        self._resolver = resolver
        self._policies = policies
        self._rng = rng

    async def place(
        self, hops: Sequence[Hop], credentials: Mapping[str, Credential], *, requiretls: bool = False
    ) -> Place:
        """The place that ``hops`` lead to, in order of preference; ``requiretls`` for mail that came with REQUIRETLS.
        Raises `Unroutable` when none of them leads anywhere, permanent only when all are."""
        found: list[Target] = []
        sites: list[str] = []
        failures: list[Unroutable] = []
        for hop in hops:
            try:
                destination = await targets(hop, self._own, resolver=self._resolver, rng=self._rng)
                found += await self._targets(hop, destination, credentials, requiretls)
                sites.append(destination.site)
            except Unroutable as failure:
                failures.append(failure)
        if not found:
            soft = [failure for failure in failures if failure.enhanced.startswith("4")]
            raise (soft or failures or [Unroutable("5.4.4", "the route names no host")])[0]
        return Place(_site(sites), found)

    async def _targets(
        self, hop: Hop, destination: Destination, credentials: Mapping[str, Credential], requiretls: bool
    ) -> list[Target]:
        login = None
        if hop.credentials is not None:
            known = credentials.get(hop.credentials)
            if known is None:
                raise Unroutable("4.3.5", f"there are no credentials called {hop.credentials}")
            login = Credentials(known.user, password=known.password)

        async def target(host: Host) -> Target:
            needs = await self._policies.of(hop, destination, host, requiretls=requiretls)
            return Target(
                host=host,
                needs=needs,
                lmtp=hop.kind == "lmtp",
                implicit=hop.kind == "smtp" and host.port == _SUBMISSIONS,
                account=hop.credentials or "",
                credentials=login,
            )

        return list(await asyncio.gather(*map(target, destination.hosts)))


def _site(sites: Sequence[str]) -> str:
    text = " or ".join(dict.fromkeys(sites))
    if len(text) > _LONGEST_SITE:
        text = f"{text[:_LONGEST_SITE]}… #{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return text
