"""What a worker tells of its state, once a second, in its row of the metrics."""

import resource
from collections.abc import Iterable

from fastsmtp.clock import Clock
from fastsmtp.limits import probes
from fastsmtp.queue.plan.site import SiteState
from fastsmtp.spool.load import SpoolLoad
from fastsmtp.telemetry.meter import Meter
from fastsmtp.telemetry.metrics_sites import SiteLoad, note_sites

SECOND = 1.0
"""Between two ticks, when the loop is not late."""
_SITES_EVERY = 5
"""Ticks between two looks at the sites, which may be many."""


class Gauges:
    """Of the process whose figures go to ``meter``. All methods are called on the loop's thread."""

    def __init__(self, meter: Meter, clock: Clock) -> None:
        self._meter = meter
        self._now = clock.monotonic
        row = meter.row
        self._single = {
            name: row.counters(f"fastsmtp_{name}")[()]
            for name in (
                "connections_open",
                "certificate_expiry_timestamp_seconds",
                "spool_used_bytes",
                "spool_map_bytes",
                "spool_readers",
                "spool_trouble",
                "outbound_open",
                "worker_beat_seconds",
                "memory_bytes",
            )
        }
        self._queue = row.counters("fastsmtp_queue_messages")
        self._pressure = row.counters("fastsmtp_pressure")
        self._last = 0.0
        self._ticks = 0
        self._cpu = 0

    def tick(
        self,
        *,
        connections: int,
        outbound: int,
        spools: Iterable[SpoolLoad],
        short: Iterable[str],
        expiry: float,
    ) -> None:
        """A second has passed. ``connections`` of clients are open, ``outbound`` deliveries to other hosts are under
        way; ``short``: what mail is put off for, by its setting in `[pressure]`; ``expiry``: when the first
        certificate does, 0 for none."""
        self._beat()
        single = self._single
        self._meter.serve()
        single["connections_open"].set(connections)
        single["outbound_open"].set(outbound)
        single["certificate_expiry_timestamp_seconds"].set(int(expiry))
        self._tell_spools(list(spools))
        running = set(short)
        for (name,), gauge in self._pressure.items():
            gauge.set(name in running)
        self._tell_machine()

    def sites(self, states: Iterable[SiteState]) -> None:
        """Tell of ``states`` when it is time to; only then are they asked for."""
        if self._ticks % _SITES_EVERY == 1:
            note_sites(
                self._meter.row,
                (
                    SiteLoad(one.name, one.waiting, one.in_flight, int(one.health == "failing"), one.seconds)
                    for one in states
                ),
            )

    def _beat(self) -> None:
        now = self._now()
        if self._last:
            self._meter.loop_delay.observe(now - self._last - SECOND)
        self._last = now
        self._ticks += 1
        self._single["worker_beat_seconds"].set(int(now))

    def _tell_spools(self, loads: list[SpoolLoad]) -> None:
        for (state,), gauge in self._queue.items():
            gauge.set(sum(getattr(load, state) for load in loads))
        single = self._single
        single["spool_used_bytes"].set(sum(load.used for load in loads))
        single["spool_map_bytes"].set(sum(load.most for load in loads))
        single["spool_readers"].set(sum(load.readers for load in loads))
        single["spool_trouble"].set(sum(load.trouble for load in loads))

    def _tell_machine(self) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu = int((used.ru_utime + used.ru_stime) * 1_000_000)
        self._meter.cpu.add(cpu - self._cpu)
        self._cpu = cpu
        try:
            self._single["memory_bytes"].set(probes.own_memory())
        except (OSError, ValueError):
            pass  # a machine that does not tell
