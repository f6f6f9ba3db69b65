"""The ``[outbound]`` table."""

import ipaddress
from typing import Annotated

from msgspec import Meta, Struct

from fastsmtp.config.values import Duration


class OutboundSettings(Struct, frozen=True, kw_only=True):
    """How connections to other servers are made, timed and kept."""

    connect_timeout: Annotated[
        Duration,
        Meta(extra={"between": ("1s", "1h")}, description="How long one address has to take a connection."),
    ] = Duration(30)
    host_timeout: Annotated[
        Duration,
        Meta(
            extra={"between": ("1s", "1h")},
            description="How long all addresses of one host have to take a connection.",
        ),
    ] = Duration(60)
    greeting_timeout: Annotated[
        Duration,
        Meta(
            extra={"between": ("1s", "1d")},
            description="Time for the greeting, and for each answer until the server is ready for a message "
            "(RFC 5321 §4.5.3.2.1: 5m).",
        ),
    ] = Duration(300)
    command_timeout: Annotated[
        Duration,
        Meta(
            extra={"between": ("1s", "1d")},
            description="Time for each answer to MAIL and RCPT (RFC 5321 §4.5.3.2.2, 3: 5m).",
        ),
    ] = Duration(300)
    data_timeout: Annotated[
        Duration,
        Meta(
            extra={"between": ("1s", "1d")},
            description="Time for the answer to DATA (RFC 5321 §4.5.3.2.4: 2m).",
        ),
    ] = Duration(120)
    block_timeout: Annotated[
        Duration,
        Meta(
            extra={"between": ("1s", "1d")},
            description="Time in which the server must take the next piece of a message (RFC 5321 §4.5.3.2.5: 3m).",
        ),
    ] = Duration(180)
    end_timeout: Annotated[
        Duration,
        Meta(
            extra={"between": ("1s", "1d")},
            description="Time for the answer to the end of a message (RFC 5321 §4.5.3.2.6: 10m).",
        ),
    ] = Duration(600)
    idle: Annotated[
        Duration,
        Meta(
            extra={"between": ("0s", "1h")},
            description="How long a connection is kept for the next message; 0s = not at all.",
        ),
    ] = Duration(5)
    uses: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Messages after which a connection is not kept.")
    ] = 100
    lifetime: Annotated[
        Duration, Meta(extra={"between": ("1s", "1d")}, description="Age at which a connection is not kept.")
    ] = Duration(300)
    recipients: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="Recipients of one transaction; more are sent in several. A server that says so gets fewer.",
        ),
    ] = 100
    source_ipv4: Annotated[
        str, Meta(description='IPv4 address to connect from; `""` leaves it to the system.')
    ] = ""
    source_ipv6: Annotated[
        str, Meta(description='IPv6 address to connect from; `""` leaves it to the system.')
    ] = ""
    ca_file: Annotated[
        str,
        Meta(
            description="File of the authorities (PEM) that certificates are checked against where the policy asks "
            'for it; `""`: the system\'s.'
        ),
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
