"""The ``[outbound]`` table."""

import ipaddress
from typing import Annotated

from msgspec import Meta, Struct

_SECONDS = {"unit": "seconds"}


class OutboundSettings(Struct, frozen=True, kw_only=True):
    """How connections to other servers are made, timed and kept."""

    connect_timeout: Annotated[
        float,
        Meta(ge=0.1, le=3600, description="Seconds one address has to take a connection.", extra=_SECONDS),
    ] = 30
    host_timeout: Annotated[
        float,
        Meta(
            ge=0.1,
            le=3600,
            description="Seconds all addresses of one host have together to take a connection.",
            extra=_SECONDS,
        ),
    ] = 60
    greeting_timeout: Annotated[
        float,
        Meta(
            ge=0.1,
            le=86_400,
            description="Seconds for the greeting, TLS and each answer up to EHLO's (RFC 5321 §4.5.3.2.1: 300).",
            extra=_SECONDS,
        ),
    ] = 300
    command_timeout: Annotated[
        float,
        Meta(
            ge=0.1,
            le=86_400,
            description="Seconds for the answers to MAIL and RCPT (RFC 5321 §4.5.3.2.2 and 3: 300).",
            extra=_SECONDS,
        ),
    ] = 300
    data_timeout: Annotated[
        float,
        Meta(
            ge=0.1,
            le=86_400,
            description="Seconds for the answer to DATA (RFC 5321 §4.5.3.2.4: 120).",
            extra=_SECONDS,
        ),
    ] = 120
    block_timeout: Annotated[
        float,
        Meta(
            ge=0.1,
            le=86_400,
            description="Seconds in which the next piece of a message must leave (RFC 5321 §4.5.3.2.5: 180).",
            extra=_SECONDS,
        ),
    ] = 180
    end_timeout: Annotated[
        float,
        Meta(
            ge=0.1,
            le=86_400,
            description="Seconds for the answer to the end of a message (RFC 5321 §4.5.3.2.6: 600).",
            extra=_SECONDS,
        ),
    ] = 600
    idle: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="Seconds a connection is kept for the next message; 0 = not at all.",
            extra=_SECONDS,
        ),
    ] = 5
    uses: Annotated[int, Meta(ge=1, le=1_000_000, description="Messages sent over one connection.")] = 100
    lifetime: Annotated[
        float,
        Meta(
            ge=1,
            le=86_400,
            description="Seconds after which a connection begins no further message.",
            extra=_SECONDS,
        ),
    ] = 300
    recipients: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="Recipients of one transaction; more are sent in several. Fewer where the server says so.",
        ),
    ] = 100
    source_ipv4: Annotated[
        str, Meta(description='IPv4 address to connect from; `""` leaves it to the system.')
    ] = ""
    source_ipv6: Annotated[
        str, Meta(description='IPv6 address to connect from; `""` leaves it to the system.')
    ] = ""

    def __post_init__(self) -> None:
        for key, text, kind in (
            ("source_ipv4", self.source_ipv4, ipaddress.IPv4Address),
            ("source_ipv6", self.source_ipv6, ipaddress.IPv6Address),
        ):
            try:
                if text:
                    kind(text)
            except ValueError:
                raise ValueError(f'{key}: expected an {kind.__name__[:4]} address, got "{text}"') from None
