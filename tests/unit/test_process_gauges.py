"""What a worker tells of its state."""

import pytest

from fastsmtp.process.gauges import Gauges
from fastsmtp.queue.plan.site import SiteState
from fastsmtp.spool.load import SpoolLoad
from fastsmtp.telemetry.meter import Meter
from fastsmtp.telemetry.metrics import BY_NAME, PLACES
from fastsmtp.telemetry.metrics_sites import all_sites
from fastsmtp.telemetry.metrics_table import MetricTable
from tests.fakes.clock import FakeClock


class World:
    """A worker's gauges; ``table`` is that of all processes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.table = MetricTable(0.0)
        self.meter = Meter(self.table.claim(), self.clock.monotonic)
        self.gauges = Gauges(self.meter, self.clock)

    def tick(self, *, spools: tuple[SpoolLoad, ...] = (), short: tuple[str, ...] = ()) -> None:
        self.gauges.tick(connections=7, outbound=3, spools=spools, short=short, expiry=2_000.9)

    def get(self, name: str, *labels: str) -> int:
        return self.meter.row.counters(f"fastsmtp_{name}")[labels].get()


@pytest.fixture
def world() -> World:
    return World()


def load(**figures: int) -> SpoolLoad:
    return SpoolLoad(
        **{
            "local": 1, "fresh": 2, "deferred": 3, "held": 4, "used": 5, "most": 6, "readers": 7,
            "trouble": False, **figures,
        }
    )  # type: ignore[arg-type]  # fmt: skip


def state(name: str, waiting: int) -> SiteState:
    return SiteState(
        name=name,
        health="failing",
        window=1,
        in_flight=1,
        waiting=waiting,
        next_at=None,
        reason="",
        since=0.0,
        attempts=1,
        seconds=0.5,
    )


def test_what_a_worker_has_is_told_each_second(world: World) -> None:
    assert world.get("workers") == 0
    world.tick()
    assert world.get("workers") == 1
    assert world.get("connections_open") == 7
    assert world.get("outbound_open") == 3
    assert world.get("certificate_expiry_timestamp_seconds") == 2000
    assert world.get("worker_beat_seconds") == int(world.clock.monotonic())
    assert world.get("memory_bytes") > 0
    assert world.get("cpu_seconds") > 0


def test_all_shards_together(world: World) -> None:
    world.tick(spools=(load(), load(local=10, trouble=True)))
    states = [world.get("queue_messages", name) for name in ("local", "fresh", "deferred", "held")]
    assert states == [11, 4, 6, 8]
    assert [world.get(f"spool_{name}") for name in ("used_bytes", "map_bytes", "readers", "trouble")] == [
        10,
        12,
        14,
        1,
    ]


def test_pressure_begins_and_ends(world: World) -> None:
    world.tick(short=("queue",))
    assert (world.get("pressure", "queue"), world.get("pressure", "memory")) == (1, 0)
    world.tick()
    assert world.get("pressure", "queue") == 0


def test_one_that_drains_is_no_worker_that_serves(world: World) -> None:
    world.tick()
    world.meter.drain()
    assert (world.get("workers"), world.get("workers_draining")) == (0, 1)
    world.tick()
    assert (world.get("workers"), world.get("workers_draining")) == (0, 1)


def test_how_late_the_loop_is(world: World) -> None:
    world.tick()
    world.clock.pass_by(1.03)
    world.tick()
    at = PLACES["fastsmtp_loop_delay_seconds"]
    cells = world.meter.row.values()[at : at + BY_NAME["fastsmtp_loop_delay_seconds"].cells].tolist()
    assert (sum(cells[:-1]), cells[-1]) == (1, 30_000), "one, and their sum in microseconds"


def test_sites_are_looked_at_every_fifth_second(world: World) -> None:
    for waiting in range(1, 7):
        world.tick()
        world.gauges.sites([state("far.test", waiting)])
        [site] = all_sites(world.table)
        assert (site.name, site.failing, site.seconds) == ("far.test", 1, 0.5)
        assert site.waiting == (1 if waiting < 6 else 6)
