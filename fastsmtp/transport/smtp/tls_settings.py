"""The ``[tls_policy]`` table."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from fastsmtp.dns.names import normal

Level = Literal["none", "may", "encrypt", "verify", "dane", "dane-only"]
"""What is asked of the TLS of a destination. ``none``: no TLS. ``may``: where it is offered, whatever the
certificate. ``encrypt``: always, whatever the certificate. ``verify``: always, with a certificate that a known
authority has given to the host. ``dane``: what the destination itself demands by DANE or MTA-STS, else as ``may``.
``dane-only``: never without DANE."""


class TlsPolicySettings(Struct, frozen=True, kw_only=True):
    """What the TLS of other servers has to prove before they are given mail. A route's own `tls` goes before this
    table."""

    default: Annotated[
        Level,
        Meta(
            description="`none`: no TLS. `may`: where it is offered, whatever the certificate. `encrypt`: always, "
            "whatever the certificate. `verify`: always, with a known authority's certificate for the host's name. "
            "`dane`: what the destination demands by DANE (RFC 7672) or MTA-STS (RFC 8461), else as `may`. "
            "`dane-only`: only hosts with DANE."
        ),
    ] = "dane"
    mta_sts: Annotated[bool, Meta(description="Whether `dane` asks for MTA-STS policies too.")] = True
    domains: Annotated[
        dict[str, Level],
        Meta(
            description='`default` for single destinations: a domain, or `"*.far.test"` for all names below one; the '
            "longest that matches counts.",
            examples=[{"far.test": "encrypt", "*.far.test": "verify"}],
        ),
    ] = {}

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for key in self.domains:
            try:
                name = _key(key)
            except ValueError as error:
                raise ValueError(f'domains."{key}": {error}') from None
            if name in seen:
                raise ValueError(f'domains."{key}": it is "{seen[name]}" once more')
            seen[name] = key

    def table(self) -> dict[str, Level]:
        """`domains` with its keys in normal form, ``*.`` before those for all names below."""
        return {_key(key): level for key, level in self.domains.items()}


def _key(text: str) -> str:
    return "*." + normal(text[2:]) if text.startswith("*.") else normal(text)
