"""What ``fastsmtp top`` shows: the figures of one moment, and of the time since the one before."""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from fastsmtp.cli.samples import Between, Reading


class Stage(Struct, frozen=True):
    """How long something takes: ``rate`` of it a second, and quantiles in seconds, None where nothing happened."""

    name: str
    rate: float
    p50: float | None
    p99: float | None


class SiteLine(Struct, frozen=True):
    """One of the sites that most waits for, or that are slowest. ``seconds``: an attempt, on average."""

    name: str
    waiting: int
    in_flight: int
    failing: bool
    seconds: float


class Figures(Struct, frozen=True, kw_only=True):
    """Rates are a second; ``workers`` accept connections, those that are ``draining`` no more; ``at`` is seconds
    since 1970, ``uptime`` seconds since counting began, ``cpu`` processors in use, sizes octets. ``rejected``,
    ``handshakes``, ``logins``: by why, by version, by how they ended. ``short``: what new mail is put off for.
    ``lost``: events that log or ledger could not take since counting began."""

    at: float
    interval: float
    version: str
    uptime: float
    workers: int
    draining: int
    cpu: float
    memory: int
    sessions: int
    connections: float
    messages: float
    recipients: float
    octets: float
    rejected: dict[str, float]
    handshakes: dict[str, float]
    logins: dict[str, float]
    local: dict[str, float]
    remote: dict[str, float]
    queue: dict[str, int]
    outbound: int
    short: list[str]
    lost: dict[str, int]
    stages: list[Stage]
    sites: list[SiteLine]


class _Measured(NamedTuple):
    """A row of the table of stages: its name, histogram and labels."""

    name: str
    histogram: str
    labels: Mapping[str, str]


_SESSION = "fastsmtp_session_stage_seconds"
_DELAY = "fastsmtp_delivery_delay_seconds"
STAGES = (
    _Measured("TLS handshake", _SESSION, {"stage": "tls"}),
    _Measured("login", _SESSION, {"stage": "auth"}),
    _Measured("recipient asked for", _SESSION, {"stage": "rcpt"}),
    _Measured("message arrives", _SESSION, {"stage": "data"}),
    _Measured("message stored", _SESSION, {"stage": "commit"}),
    _Measured("journal sync", "fastsmtp_spool_sync_seconds", {}),
    _Measured("to a mailbox", _DELAY, {"transport": "local"}),
    _Measured("to another host", _DELAY, {"transport": "remote"}),
    _Measured("attempt", "fastsmtp_attempt_seconds", {}),
    _Measured("event loop is late", "fastsmtp_loop_delay_seconds", {}),
)


def figures(before: Reading, after: Reading, seconds: float, now: float) -> Figures:
    """What happened in the ``seconds`` between two readings, and how it stands ``now``, which is since 1970."""
    between = Between(before, after, seconds)
    info = after.all("fastsmtp_build_info")
    return Figures(
        at=now,
        interval=seconds,
        version=info[0].labels.get("version", "") if info else "",
        uptime=now - after.total("fastsmtp_start_timestamp_seconds"),
        workers=int(after.total("fastsmtp_workers")),
        draining=int(after.total("fastsmtp_workers_draining")),
        cpu=between.rate("fastsmtp_cpu_seconds_total"),
        memory=int(after.total("fastsmtp_memory_bytes")),
        sessions=int(after.total("fastsmtp_connections_open")),
        connections=between.rate("fastsmtp_connections_total"),
        messages=between.rate("fastsmtp_messages_received_total"),
        recipients=between.rate("fastsmtp_recipients_received_total"),
        octets=between.rate("fastsmtp_received_bytes_total"),
        rejected=between.rates("fastsmtp_rejected_total", "reason"),
        handshakes=between.rates("fastsmtp_tls_handshakes_total", "version"),
        logins=between.rates("fastsmtp_logins_total", "result"),
        local=between.rates("fastsmtp_deliveries_total", "result", transport="local"),
        remote=between.rates("fastsmtp_deliveries_total", "result", transport="remote"),
        queue={state: int(count) for state, count in after.by("fastsmtp_queue_messages", "state").items()},
        outbound=int(after.total("fastsmtp_outbound_open")),
        short=[name for name, flag in after.by("fastsmtp_pressure", "short").items() if flag],
        lost={
            where: int(count) for where, count in after.by("fastsmtp_lost_total", "where").items() if count
        },
        stages=[_stage(between, one) for one in STAGES],
        sites=_sites(after),
    )


def _stage(between: Between, one: _Measured) -> Stage:
    return Stage(
        one.name,
        between.rate(f"{one.histogram}_count", **one.labels),
        between.quantile(one.histogram, 0.5, **one.labels),
        between.quantile(one.histogram, 0.99, **one.labels),
    )


def _sites(after: Reading) -> list[SiteLine]:
    in_flight = after.by("fastsmtp_site_in_flight", "site")
    failing = after.by("fastsmtp_site_failing", "site")
    seconds = after.by("fastsmtp_site_attempt_seconds", "site")
    return [
        SiteLine(
            name,
            int(waiting),
            int(in_flight.get(name, 0)),
            failing.get(name, 0) > 0,
            seconds.get(name, 0.0),
        )
        for name, waiting in after.by("fastsmtp_site_waiting", "site").items()
    ]
