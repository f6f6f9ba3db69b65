"""The picture of ``fastsmtp top``: what stands in it, and that it fits."""

import msgspec
import pytest

from fastsmtp.cli.samples import Reading
from fastsmtp.cli.top_figures import STAGES, Figures, figures
from fastsmtp.cli.top_view import lines
from fastsmtp.telemetry.meter import Meter
from fastsmtp.telemetry.metrics import BY_NAME
from fastsmtp.telemetry.metrics_sites import SiteLoad, note_sites
from fastsmtp.telemetry.metrics_table import MetricTable
from fastsmtp.telemetry.metrics_text import render


@pytest.fixture(scope="module")
def shown() -> Figures:
    """Two seconds of a server with everything in it."""
    table = MetricTable(1_000_000.0)
    row = table.claim()
    meter = Meter(row, lambda: 0.0)
    before = Reading(render(table).decode())
    for _ in range(200):
        meter.received(5_000, 2, 0.003)
        meter.connections.add()
    for _ in range(3):
        meter.delivery("local", "delivered", 0.02)
        meter.delivery("remote", "deferred", 4.0)
    meter.handshake("TLSv1.3", False)
    meter.login("PLAIN", False)
    meter.limited("messages")
    meter.lost("ledger", 12)
    meter.attempt("unreachable", 30.0)
    row.counters("fastsmtp_workers")[()].set(2)
    row.counters("fastsmtp_workers_draining")[()].set(1)
    row.counters("fastsmtp_connections_open")[()].set(1204)
    row.counters("fastsmtp_pressure")["disk_free",].set(1)
    row.counters("fastsmtp_queue_messages")["deferred",].set(1500)
    sites = [SiteLoad(f"site-{n}.test", 1000 - n, 1, n % 2, n / 10) for n in range(30)]
    note_sites(row, [*sites, SiteLoad("evil\x1b[2J.test", 2000, 0, 0, 9.0)])
    return figures(before, Reading(render(table).decode()), 2.0, 1_000_000.0 + 90_061)


def test_every_stage_is_one_that_is_measured() -> None:
    for stage in STAGES:
        labels = dict(BY_NAME[stage.histogram].labels)
        assert all(value in labels[name] for name, value in stage.labels.items())


def test_the_picture(shown: Figures) -> None:
    text = lines(shown, 100, 50)
    assert text[0].endswith("up 1d1h1m1s  2 workers and 1 draining  cpu 0.00  memory 0 B")
    assert text[1] == "sessions   1,204 open  100/s new  TLS: TLSv1.3 0.5/s  logins: refused 0.5/s"
    assert text[2] == "taken in   100/s  200/s recipients  500 KB/s"
    assert text[3] == "refused    nothing"
    assert text[4] == "delivered  here: delivered 1.5/s   elsewhere: deferred 1.5/s"
    assert text[5] == "queue      local 0  fresh 0  deferred 1,500  held 0  under way 0"
    assert text[6] == "SHORT OF   disk_free: new mail is put off"
    assert text[7] == "LOST       12 events of the ledger"
    assert text[9].split() == ["how", "long", "it", "takes", "a", "second", "p50", "p99"]
    [stored] = [line for line in text if line.startswith("message stored")]
    assert stored.split()[2:] == ["100.0", "3.8", "ms", "5.0", "ms"]
    [quiet] = [line for line in text if line.startswith("login")]
    assert quiet.split()[1:] == ["0.0", "-", "-"]


def test_the_fullest_and_the_slowest_sites_stand_there(shown: Figures) -> None:
    text = lines(shown, 100, 50)
    fullest = next(number for number, line in enumerate(text) if line.startswith("waits for site"))
    slowest = next(number for number, line in enumerate(text) if line.startswith("slowest sites"))
    assert text[fullest + 1].split() == ["evil?[2J.test", "2,000", "0", "9.0", "s"]
    assert text[fullest + 2].split() == ["site-0.test", "1,000", "1", "-"]
    assert text[slowest + 1].split()[0] == "evil?[2J.test"
    assert text[slowest + 2].split() == ["site-29.test", "971", "1", "2.9", "s", "failing"]


@pytest.mark.parametrize("height", range(1, 45))
@pytest.mark.parametrize("width", [20, 80, 200])
def test_it_fits_and_has_no_control_characters(shown: Figures, width: int, height: int) -> None:
    text = lines(shown, width, height)
    assert len(text) <= height
    assert all(len(line) <= width for line in text)
    assert all(line.isprintable() for line in text)


def test_a_server_without_workers_says_so() -> None:
    nothing = Reading(render(MetricTable(0.0)).decode())
    assert "NO WORKER SERVES" in lines(figures(nothing, nothing, 1.0, 5.0), 80, 24)


def test_all_of_it_is_json(shown: Figures) -> None:
    found = msgspec.json.decode(msgspec.json.encode(shown))
    assert found["messages"] == 100.0
    assert found["sites"][0]["waiting"] == 2000
    assert found["lost"] == {"ledger": 12}
