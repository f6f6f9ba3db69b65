"""Metrics as text, read back; what happened between two readings."""

from math import inf

import pytest

from fastsmtp.cli.samples import Between, Reading, Sample, quantile, read_samples
from fastsmtp.telemetry.meter import Meter
from fastsmtp.telemetry.metrics_sites import SiteLoad, note_sites
from fastsmtp.telemetry.metrics_table import MetricTable
from fastsmtp.telemetry.metrics_text import render


class Server:
    """Counts, and is read."""

    def __init__(self, started: float = 1000.0) -> None:
        self.table = MetricTable(started)
        self.meter = Meter(self.table.claim(), lambda: 0.0)

    def read(self) -> Reading:
        return Reading(render(self.table).decode())


def test_what_the_server_says_is_read() -> None:
    text = (
        '# HELP a_b x\n# TYPE a_b gauge\na_b 1\na_b{c="d",e="x \\"y\\" \\\\ z\\n{}, 1"} 2.5\nnot a sample\n'
    )
    assert list(read_samples(text)) == [
        Sample("a_b", {}, 1.0),
        Sample("a_b", {"c": "d", "e": 'x "y" \\ z\n{}, 1'}, 2.5),
    ]


@pytest.mark.parametrize("name", ['a"b', "a\\nb", "a\nb", "a,b} 7", "plain.test"])
def test_names_of_sites_come_back_as_they_were(name: str) -> None:
    server = Server()
    note_sites(server.meter.row, [SiteLoad(name, 3, 0, 0, 0.0)])
    assert server.read().by("fastsmtp_site_waiting", "site") == {name: 3.0}


def test_totals_and_parts() -> None:
    server = Server()
    server.meter.delivery("local", "delivered", 0.1)
    server.meter.delivery("remote", "delivered", 0.1)
    server.meter.delivery("remote", "bounced", 0.1)
    found, name = server.read(), "fastsmtp_deliveries_total"
    assert found.total(name) == 3
    assert found.total(name, transport="remote") == 2
    assert found.by(name, "result") == {"delivered": 2, "deferred": 0, "bounced": 1}
    assert found.total("fastsmtp_nothing") == 0


def test_rates_are_of_the_time_between() -> None:
    server = Server()
    server.meter.received(100, 1, 0.001)
    before = server.read()
    for _ in range(10):
        server.meter.received(100, 1, 0.001)
    server.meter.login("PLAIN", False)
    between = Between(before, server.read(), 2.0)
    assert between.rate("fastsmtp_messages_received_total") == 5.0
    assert between.rates("fastsmtp_logins_total", "result") == {"refused": 0.5}


def test_a_server_that_was_started_again_counts_from_its_start() -> None:
    old, new = Server(), Server(started=2000.0)
    for _ in range(50):
        old.meter.received(100, 1, 0.001)
    for _ in range(4):
        new.meter.received(100, 1, 0.001)
    assert Between(old.read(), new.read(), 2.0).rate("fastsmtp_messages_received_total") == 2.0


def test_quantiles_are_of_what_came_between() -> None:
    server = Server()
    for _ in range(100):
        server.meter.sync.observe(40.0)
    before = server.read()
    assert Between(before, before, 1.0).quantile("fastsmtp_spool_sync_seconds", 0.5) is None
    for _ in range(99):
        server.meter.sync.observe(0.002)
    server.meter.sync.observe(20.0)
    between = Between(before, server.read(), 1.0)
    median = between.quantile("fastsmtp_spool_sync_seconds", 0.5)
    last = between.quantile("fastsmtp_spool_sync_seconds", 0.999)
    assert median is not None
    assert 0.001 < median <= 0.0025
    assert last is not None
    assert 10.0 < last <= 30.0


@pytest.mark.parametrize(
    ("counts", "part", "value"),
    [
        ([], 0.5, None),
        ([(1.0, 0.0), (inf, 0.0)], 0.5, None),
        ([(1.0, 10.0), (2.0, 10.0), (inf, 10.0)], 0.5, 0.5),
        ([(1.0, 0.0), (2.0, 10.0), (inf, 10.0)], 0.5, 1.5),
        ([(1.0, 5.0), (2.0, 10.0), (inf, 10.0)], 0.99, 1.98),
        ([(1.0, 5.0), (2.0, 5.0), (inf, 10.0)], 0.99, 2.0),
        ([(1.0, 0.0), (2.0, 10.0), (inf, 10.0)], 1.0, 2.0),
    ],
)
def test_a_quantile_lies_evenly_within_its_bucket(
    counts: list[tuple[float, float]], part: float, value: float | None
) -> None:
    assert quantile(counts, part) == (None if value is None else pytest.approx(value))
