"""Whether the server lives, and whether it takes mail, as its processes tell by their rows.

A worker's ``beat`` is the second of the steady clock, which is the same for all processes of a machine, at its last
tick.
"""

from fastsmtp.telemetry.metrics import BY_NAME, PLACES
from fastsmtp.telemetry.metrics_table import MetricTable

LATE = 15.0
"""Seconds without a tick after which a worker counts as stuck."""
_WORKERS = PLACES["fastsmtp_workers"]
_BEAT = PLACES["fastsmtp_worker_beat_seconds"]
_PRESSURE = BY_NAME["fastsmtp_pressure"]


def live(table: MetricTable, now: float) -> list[str]:
    """Why the server does not live, empty when it does: a worker's loop must turn. ``now`` by the steady clock."""
    beats = [values[_BEAT] for values in _workers(table)]
    if not beats:
        return ["no worker serves"]
    if max(beats) < now - LATE:
        return [f"no worker has answered for {now - max(beats):.0f} s"]
    return []


def ready(table: MetricTable, now: float) -> list[str]:
    """Why no mail would be taken now, empty when it would: it lives, and neither disk, memory nor queue are short."""
    found = live(table, now)
    if found:
        return found
    rows = _workers(table)
    short = [
        labels[0]
        for at, labels in enumerate(_PRESSURE.series(), PLACES[_PRESSURE.name])
        if any(values[at] for values in rows)
    ]
    return [f"new mail is put off: pressure.{name}" for name in short]


def _workers(table: MetricTable) -> list[memoryview]:
    rows = (row.values() for row, alive in table.rows() if alive)
    return [values for values in rows if values[_WORKERS]]
