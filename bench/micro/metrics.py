"""What metrics cost: what is counted for a message, and the text of all of them with many workers.

    .venv/bin/python -m bench.micro.metrics [--workers N] [--json]

Prints microseconds of the processor for a message, the best of nine rounds, for intake (clock, stages, counters) and
for its delivery; then the milliseconds that the text takes, median and worst of 200, while so many workers count all
the time and tell of 40 sites each.
"""

import argparse
import json
import os
import signal
import statistics
import time
from collections.abc import Callable

from fastsmtp.telemetry.meter import Meter
from fastsmtp.telemetry.metrics_sites import SiteLoad, note_sites
from fastsmtp.telemetry.metrics_table import MetricTable
from fastsmtp.telemetry.metrics_text import render

ROUNDS = 9
TIMES = 200_000
TEXTS = 200


def intake(meter: Meter) -> None:
    """What session and recorder count of a message."""
    began = meter.now()
    ended = meter.now()
    meter.data.observe(ended - began)
    meter.received(4096, 1, meter.now() - ended)


def delivery(meter: Meter) -> None:
    """What the recorder counts of its delivery into a mailbox."""
    meter.delivery("local", "delivered", 0.03)


def nothing(meter: Meter) -> None:
    """A call."""


def best(work: Callable[[Meter], None], meter: Meter) -> float:
    """Microseconds of the processor, a call's own taken off."""
    return (_best(work, meter) - _best(nothing, meter)) / TIMES * 1e6


def _best(work: Callable[[Meter], None], meter: Meter) -> float:
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(TIMES):
            work(meter)
        found.append(time.process_time() - began)
    return min(found)


def count_for_ever(table: MetricTable, number: int) -> None:
    """A worker, until it is killed."""
    meter = Meter(table.claim(), time.monotonic)
    note_sites(
        meter.row,
        [SiteLoad(f"mx{number}-{site}.example.org", site, 1, 0, site / 10) for site in range(1000)],
    )
    meter.row.counters("fastsmtp_workers")[()].set(1)
    while True:
        for _ in range(100):
            intake(meter)
        time.sleep(0.005)


def texts(workers: int) -> list[float]:
    """Milliseconds of each text."""
    table = MetricTable(time.time())
    pids = []
    try:
        for number in range(workers):
            pid = os.fork()
            if not pid:
                count_for_ever(table, number)
            pids.append(pid)
        while b"\nfastsmtp_workers %d\n" % workers not in render(table):
            time.sleep(0.01)
        found = []
        for _ in range(TEXTS):
            began = time.perf_counter()
            render(table)
            found.append((time.perf_counter() - began) * 1e3)
        return found
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    meter = Meter(MetricTable(time.time()).claim(), time.monotonic)
    taken = texts(chosen.workers)
    found = {
        "intake_us": round(best(intake, meter), 3),
        "delivery_us": round(best(delivery, meter), 3),
        "workers": chosen.workers,
        "text_ms_median": round(statistics.median(taken), 2),
        "text_ms_worst": round(max(taken), 2),
    }
    if chosen.json:
        print(json.dumps(found))
        return
    print(f"a message taken: {found['intake_us']} us, delivered: {found['delivery_us']} us")
    print(
        f"the text, {chosen.workers} workers: {found['text_ms_median']} ms, {found['text_ms_worst']} at worst"
    )


if __name__ == "__main__":
    main()
