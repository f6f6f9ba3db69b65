"""The ``[limits]`` table."""

from typing import Annotated

from msgspec import Meta, Struct


class LimitSettings(Struct, frozen=True, kw_only=True):
    """How much one message, one session, one client and all clients together may take."""

    message_size: Annotated[
        int,
        Meta(ge=1_000, le=1 << 40, description="Bytes of the largest message; announced by SIZE (RFC 1870)."),
    ] = 52_428_800
    recipients: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="Recipients of one message, further ones get 452; RFC 5321 asks for 100.",
        ),
    ] = 1000
    errors: Annotated[
        int, Meta(ge=1, le=100_000, description="Errors a session may make until it is closed with 421.")
    ] = 20
    connections: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Connections at the same time, over all workers; then 421.")
    ] = 10_000
    connections_per_ip: Annotated[
        int,
        Meta(
            ge=0,
            le=60_000,
            description="Connections at the same time from one address (IPv6: one /64); 0 = no limit.",
        ),
    ] = 50
    messages_per_ip_per_minute: Annotated[
        int,
        Meta(
            ge=0,
            le=60_000,
            description="Messages from one address (IPv6: one /64) in a minute; 0 = no limit.",
        ),
    ] = 0
    loopback_exempt: Annotated[
        bool, Meta(description="Whether the two limits above leave out 127.0.0.0/8 and ::1.")
    ] = False
    hops: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="Received fields of one message; with more it has gone in circles and is refused. RFC 5321 "
            "§6.3 asks for 100.",
        ),
    ] = 100
    command_timeout: Annotated[
        float,
        Meta(
            ge=1,
            le=86_400,
            description="Seconds to wait for the client's next bytes; RFC 5321 §4.5.3.2.7 asks for 300.",
            extra={"unit": "seconds"},
        ),
    ] = 300
