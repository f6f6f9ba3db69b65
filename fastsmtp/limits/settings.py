"""The ``[limits]`` and ``[pressure]`` tables."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from fastsmtp.config.values import Duration
from fastsmtp.limits.rule_settings import RuleSettings


class LimitSettings(Struct, frozen=True, kw_only=True):
    """How much one message, one session, one client and all clients together may take."""

    REPLACED: ClassVar[dict[str, str]] = {
        "messages_per_ip_per_minute": 'write [[limits.rules]] with count = "messages", per = "ip", rate = "30/1m"'
    }

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
    loopback_exempt: Annotated[
        bool,
        Meta(description="Whether the limit above and the rules below leave out 127.0.0.0/8 and ::1."),
    ] = False
    rules: tuple[RuleSettings, ...] = ()
    hops: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="Received fields of one message; with more it has gone in circles and is refused. RFC 5321 "
            "§6.3 asks for 100.",
        ),
    ] = 100
    future_release: Annotated[
        Duration,
        Meta(
            description="How far ahead users may have a message sent (FUTURERELEASE, RFC 4865), on listeners for "
            "submission; `0s` to offer none of it.",
            extra={"between": ("0s", "365d")},
        ),
    ] = Duration(7 * 86_400)
    command_timeout: Annotated[
        float,
        Meta(
            ge=1,
            le=86_400,
            description="Seconds to wait for the client's next bytes; RFC 5321 §4.5.3.2.7 asks for 300.",
            extra={"unit": "seconds"},
        ),
    ] = 300


class PressureSettings(Struct, frozen=True, kw_only=True):
    """When new mail is put off with 452 because something runs short, before it does harm; docs/running.md. What was
    taken in is delivered meanwhile. 0 = not watched."""

    disk_free: Annotated[
        int,
        Meta(
            ge=0,
            le=1 << 50,
            description="Bytes that must be free where `data_dir` and the mailboxes lie. Mail is taken again when a "
            "quarter more is free.",
        ),
    ] = 256 << 20
    inodes_free: Annotated[
        int,
        Meta(
            ge=0,
            le=1 << 50,
            description="Inodes that must be free there, likewise; each mail in a mailbox takes one.",
        ),
    ] = 10_000
    memory: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=1 << 50,
                description="Bytes of memory of its own that a worker may have (anonymous, resident). Mail is taken "
                "again at nine tenths of it.",
                extra={
                    "default": "three quarters of the memory of the machine, or of its cgroup, divided by the workers"
                },
            ),
        ]
        | None
    ) = None
    memory_free: Annotated[
        int,
        Meta(
            ge=0,
            le=1 << 50,
            description="Bytes of memory that the machine must have available (MemAvailable of /proc/meminfo). Mail "
            "is taken again when a quarter more is.",
        ),
    ] = 64 << 20
    queue: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000_000,
            description="Messages that may wait in all workers' queues, for mailboxes and for other hosts. Mail is "
            "taken again at nine tenths of it. A message costs disk, which is watched anyway, so that there is no "
            "limit by default.",
        ),
    ] = 0
