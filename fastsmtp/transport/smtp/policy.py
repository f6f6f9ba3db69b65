"""What the TLS of one host has to prove before it is given mail, and why.

The first of these that says something decides:

1. the route's own `tls`,
2. `[tls_policy] domains`, for the destination's domain and the names it is below,
3. `[tls_policy] default`.

Where the level so found is ``dane``, the destination decides: DANE when the host has TLSA records that nobody can
have forged, else its domain's MTA-STS policy (RFC 8461 §2: DANE goes first), else ``may``. REQUIRETLS then raises
what is less than it asks for.
"""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from fastsmtp.dns.base import DnsTemporary, NoSuchDomain, Resolver, Tlsa, TlsaRecords
from fastsmtp.routing.route import Hop
from fastsmtp.transport.smtp.dane import usable
from fastsmtp.transport.smtp.mta_sts import StsPolicies, StsPolicy
from fastsmtp.transport.smtp.mx import Destination, Host, literal
from fastsmtp.transport.smtp.tls_report import PolicyType, Result, TlsReport
from fastsmtp.transport.smtp.tls_settings import Level, TlsPolicySettings


class Protection(Struct, frozen=True, gc=False):
    """What a connection to one host has to have.

    ``level``: ``none``, do not ask for TLS; ``may``, take it when it is offered and works; ``encrypt``, nothing
    without it; ``verify``, and a certificate of a known authority for the one name in ``names``; ``dane``, and
    one that `dane.check` finds to match ``tlsa`` for ``names``. ``sni`` is the name to ask the server for, empty
    for an address. ``refused`` is not empty when the host must not be given mail at all, and says why;
    ``enhanced`` is the status for that (RFC 3463). ``requiretls``: the host has to announce REQUIRETLS, and MAIL
    to carry it (RFC 8689 §4.2.1). ``testing``: a certificate that is not of a known authority for the one name in
    ``names`` is counted and told of, and harms nothing. ``asserted``: the destination asks for it, nobody here, and
    mail may do without by its own word (lenient.py). ``domain`` and ``policy`` are what `TlsReport` counts under.
    ``reason`` says where the level comes from, for people.
    """

    level: Literal["none", "may", "encrypt", "verify", "dane"]
    reason: str
    domain: str
    policy: PolicyType = "no-policy-found"
    names: tuple[str, ...] = ()
    sni: str = ""
    tlsa: tuple[Tlsa, ...] = ()
    requiretls: bool = False
    testing: bool = False
    asserted: bool = False
    refused: str = ""
    enhanced: str = ""


class Policies:
    """Decides for each host that is about to be connected to. ``sts`` is None where MTA-STS is not asked for."""

    def __init__(
        self,
        settings: TlsPolicySettings,
        resolver: Resolver,
        sts: StsPolicies | None,
        report: TlsReport,
    ) -> None:
        self._default: Level = settings.default
        self._domains = settings.table()
        self._resolver = resolver
        self._sts = sts if settings.mta_sts else None
        self._report = report

    async def of(
        self, hop: Hop, destination: Destination, host: Host, *, requiretls: bool = False
    ) -> Protection:
        """What a connection to ``host``, one of ``destination``'s, has to have for mail on ``hop``; ``requiretls``
        when the message came with REQUIRETLS. Never raises: what cannot be found out is a refusal, or none."""
        level, why = self._level(hop, destination)
        sts: StsPolicy | None = None
        found: Protection | None = None
        if level in ("dane", "dane-only"):
            found = await self._by_dane(destination, host)
            if found is None and level == "dane-only":
                found = self._refuse(
                    destination, host, "dane-required", f"{why} asks for DANE; {host.name} has none"
                )
        # REQUIRETLS wants to know who vouches for the host, whatever the level is.
        if self._sts is not None and destination.mx and (requiretls or (found is None and level == "dane")):
            sts = await self._sts.policy(destination.domain)
        if found is None and level == "dane":
            found = self._by_sts(destination, host, sts)
        if found is None:
            plain = "may" if level == "dane" or level == "dane-only" else level
            found = self._plain(plain, why, destination, host)
        elif level == "dane" and not requiretls:
            found = replace(found, asserted=True)
        return self._raised(found, destination, host, sts) if requiretls else found

    def _level(self, hop: Hop, destination: Destination) -> tuple[Level, str]:
        if hop.tls is not None:
            return hop.tls, "the route"
        if self._domains:
            name = destination.domain
            if name in self._domains:
                return self._domains[name], f'[tls_policy.domains] "{name}"'
            _, dot, name = name.partition(".")
            while dot:
                if "*." + name in self._domains:
                    return self._domains["*." + name], f'[tls_policy.domains] "*.{name}"'
                _, dot, name = name.partition(".")
        return self._default, "[tls_policy] default"

    async def _by_dane(self, destination: Destination, host: Host) -> Protection | None:
        """RFC 7672 §2.2: TLSA records count only at the end of a chain of answers that are all vouched for: the MX
        records (or the settings), the host's addresses, and the records themselves."""
        if not (destination.secure and host.addresses.secure):
            return None
        # RFC 7672 §2.2.2: the end of the host's aliases first, then the name it is called by.
        for base in dict.fromkeys((host.addresses.name or host.name, host.name)):
            name = f"_{host.port}._tcp.{base}"
            try:
                answer = await self._resolver.tlsa(name)
            except NoSuchDomain:
                continue
            except DnsTemporary as error:
                # RFC 7672 §2.1.2: who can suppress the answer must not have gained anything by it.
                refused = self._refuse(destination, host, "dnssec-invalid", str(error), policy="tlsa")
                return replace(refused, enhanced="4.4.3")
            if answer.secure and (answer.records or answer.unusable):
                return self._with_tlsa(destination, host, base, answer)
        return None

    def _with_tlsa(self, destination: Destination, host: Host, base: str, answer: TlsaRecords) -> Protection:
        records = usable(answer.records)
        if not records:
            # RFC 7672 §2.2: records that none of us can use still say that there is TLS.
            self._report.failure(destination.domain, "tlsa", "tlsa-invalid", host.name)
            return Protection(
                level="encrypt",
                reason=f"TLSA records of {base}, none of which can be used",
                domain=destination.domain,
                policy="tlsa",
                sni=base,
            )
        names = (base, host.name, *([destination.domain] if destination.mx else []))
        return Protection(
            level="dane",
            reason=f"TLSA records of {base}",
            domain=destination.domain,
            policy="tlsa",
            names=tuple(dict.fromkeys(names)),
            sni=base,
            tlsa=records,
        )

    def _by_sts(self, destination: Destination, host: Host, sts: StsPolicy | None) -> Protection | None:
        if sts is None:
            return None
        allowed = sts.allows(host.name)
        unlisted = f"{host.name} is not among the hosts of {destination.domain}'s MTA-STS policy"
        if not allowed:
            self._report.failure(destination.domain, "sts", "validation-failure", host.name)
        if sts.mode == "testing":
            # RFC 8461 §5: mail goes on as if there were no policy, and what would have failed is counted.
            if not allowed:
                self._report.would_refuse(destination.domain, host.name, unlisted)
            plain = self._plain("may", "an MTA-STS policy in testing", destination, host)
            return replace(plain, policy="sts", testing=allowed, names=(host.name,) if allowed else ())
        if not allowed:
            return Protection(
                level="verify",
                reason="the domain's MTA-STS policy",
                domain=destination.domain,
                policy="sts",
                refused=unlisted,
                enhanced="4.7.5",
            )
        plain = self._plain("verify", "the domain's MTA-STS policy", destination, host)
        return replace(plain, policy="sts")

    def _plain(
        self,
        level: Literal["none", "may", "encrypt", "verify"],
        reason: str,
        destination: Destination,
        host: Host,
    ) -> Protection:
        """A level that asks for no records. The name in the certificate is the host's (RFC 8461 §4.2)."""
        address = literal(host.name)
        return Protection(
            level=level,
            reason=reason,
            domain=destination.domain,
            names=(address or host.name,) if level == "verify" else (),
            sni="" if address else host.name,
        )

    def _refuse(
        self,
        destination: Destination,
        host: Host,
        result: Result,
        text: str,
        *,
        policy: PolicyType = "no-policy-found",
    ) -> Protection:
        self._report.failure(destination.domain, policy, result, host.name)
        return Protection(
            level="dane",
            reason="DANE",
            domain=destination.domain,
            policy=policy,
            refused=text,
            enhanced="4.7.5",
        )

    def _raised(
        self, found: Protection, destination: Destination, host: Host, sts: StsPolicy | None
    ) -> Protection:
        """RFC 8689 §4.2.1: the host's name is vouched for by DNSSEC or by MTA-STS, its certificate by DANE or by an
        authority."""
        if found.refused:
            return found
        if not (destination.secure or (sts is not None and sts.allows(host.name))):
            return replace(
                found,
                requiretls=True,
                refused=f"REQUIRETLS: neither DNSSEC nor MTA-STS vouches for {host.name}",
                enhanced="5.7.10",
            )
        if found.level not in ("verify", "dane"):
            raised = self._plain("verify", f"REQUIRETLS, over {found.reason}", destination, host)
            found = replace(raised, policy=found.policy)
        return replace(found, requiretls=True)
