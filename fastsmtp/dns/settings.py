"""The ``[dns]`` table."""

from typing import Annotated

from msgspec import Meta, Struct

from fastsmtp.config.values import parse_endpoint


class DnsSettings(Struct, frozen=True, kw_only=True):
    """Whom the server asks for the hosts of other domains."""

    servers: Annotated[
        tuple[str, ...],
        Meta(
            description="Resolvers to ask, each an IP address and port, the first one first; empty: those of "
            '`/etc/resolv.conf`. Such as `["127.0.0.1:53"]`. DANE needs one that validates DNSSEC.',
        ),
    ] = ()
    timeout: Annotated[
        float,
        Meta(
            ge=0.1,
            le=60,
            description="How long to wait for one answer of one resolver.",
            extra={"unit": "seconds"},
        ),
    ] = 3
    tries: Annotated[
        int,
        Meta(
            ge=1,
            le=10,
            description="How often each resolver is asked before a look-up counts as failed, which is temporary.",
        ),
    ] = 2
    cache: Annotated[
        int,
        Meta(ge=100, le=10_000_000, description="Answers a worker keeps until their time to live is over."),
    ] = 20_000
    trust_ad: Annotated[
        bool,
        Meta(
            description="Whether to believe a resolver on another machine that an answer was validated (the AD bit, "
            "RFC 4035). Right only where nobody can come between; one on loopback is always believed."
        ),
    ] = False

    def __post_init__(self) -> None:
        for i, text in enumerate(self.servers):
            try:
                parse_endpoint(text)
            except ValueError as error:
                raise ValueError(f"servers[{i}]: {error}") from None
