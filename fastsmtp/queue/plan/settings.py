"""The ``[queue]`` table."""

from typing import Annotated

from msgspec import Meta, Struct

from fastsmtp.config.values import Duration
from fastsmtp.queue.plan.board import BoardLimits
from fastsmtp.queue.plan.retry import RetrySchedule
from fastsmtp.queue.plan.site import SiteLimits

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


class PlanSettings(Struct, frozen=True, kw_only=True):
    """When mail to other hosts is tried, and how much of it at once. A site is a destination as the set of hosts that
    take its mail; docs/queue.md tells how it is paced."""

    retry: Annotated[
        tuple[Annotated[Duration, Meta(extra={"between": ("1s", "7d")})], ...],
        Meta(
            description="Pauses after the first, second, … attempt, of a mail that was put off and of a site that "
            "fails; the last one repeats. RFC 5321 §4.5.4.1 asks for 30 minutes in general.",
            examples=[["1m", "5m", "15m", "30m", "1h", "2h", "4h"]],
        ),
    ] = (
        Duration(_MINUTE),
        Duration(5 * _MINUTE),
        Duration(15 * _MINUTE),
        Duration(30 * _MINUTE),
        Duration(_HOUR),
        Duration(2 * _HOUR),
        Duration(4 * _HOUR),
    )
    expire: Annotated[
        Duration,
        Meta(
            description="Age at which mail has its last attempt, after which it goes back to its sender; RFC 5321 "
            "§4.5.4.1 asks for 4 to 5 days at least.",
            examples=["5d"],
            extra={"between": ("1s", "365d")},
        ),
    ] = Duration(5 * _DAY)
    delay_notice: Annotated[
        Duration,
        Meta(
            description="Age at which the sender of a waiting mail is told, once, that it is late; `0s` for never.",
            examples=["4h"],
            extra={"between": ("0s", "365d")},
        ),
    ] = Duration(4 * _HOUR)
    jitter: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="By which share of itself a pause may be longer, at random, so that what failed together is "
            "not tried together.",
        ),
    ] = 0.1
    connections: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="Deliveries at once to sites that work, over all workers, of which each has its share, one "
            "at least. First contacts, attempts at sites that fail and what hangs come on top, less than twice as "
            "many again.",
        ),
    ] = 500
    connections_per_site: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="Deliveries at once to one site over all workers, so long as it bears them.",
        ),
    ] = 20
    messages_per_site_per_minute: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Messages to one site in a minute, over all workers; 0 = no limit.",
        ),
    ] = 0

    def __post_init__(self) -> None:
        if not self.retry:
            raise ValueError('retry: expected at least one pause such as "5m"')

    @property
    def schedule(self) -> RetrySchedule:
        """The retry schedule of all this."""
        return RetrySchedule(
            pauses=self.retry, jitter=self.jitter, expire=self.expire, delay_notice=self.delay_notice
        )

    def board_limits(self, workers: int, slot: int = 0) -> BoardLimits:
        """What the worker in ``slot`` of ``workers`` may have at once: its share of all, one at least, and as much of
        a site as all together, who see to that by `Claims`."""
        share, over = divmod(self.connections, workers)
        return BoardLimits(
            connections=max(1, share + (slot % workers < over)),
            site=SiteLimits(
                connections=self.connections_per_site, per_minute=self.messages_per_site_per_minute
            ),
        )
