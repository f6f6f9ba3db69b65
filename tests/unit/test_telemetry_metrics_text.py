"""The text of all metrics, as Prometheus' own parsers read it."""

from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_plain

from fastsmtp.telemetry.meter import Meter
from fastsmtp.telemetry.metrics import BUILD, METRICS, SITES, STARTED, unit_of
from fastsmtp.telemetry.metrics_sites import SiteLoad, note_sites
from fastsmtp.telemetry.metrics_table import MetricTable, Row
from fastsmtp.telemetry.metrics_text import (
    OPENMETRICS_TYPE,
    PLAIN_TYPE,
    content_type,
    render,
    wants_openmetrics,
)


@pytest.fixture
def table() -> MetricTable:
    return MetricTable(1000.5)


def samples(
    table: MetricTable, *, openmetrics: bool = False
) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    read: Any = read_openmetrics if openmetrics else read_plain
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in read(render(table, openmetrics=openmetrics).decode())
        for one in family.samples
    }


def meter(table: MetricTable) -> Meter:
    return Meter(table.claim(), lambda: 0.0)


def test_every_metric_is_told_with_its_kind_and_help(table: MetricTable) -> None:
    table.claim()
    for openmetrics, read in ((False, read_plain), (True, read_openmetrics)):
        found = {family.name: family for family in read(render(table, openmetrics=openmetrics).decode())}
        assert set(found) == {one.name for one in (*METRICS, *SITES, BUILD, STARTED)}
        for metric in METRICS:
            assert (found[metric.name].type, found[metric.name].documentation) == (metric.kind, metric.help)
            assert found[metric.name].unit == (unit_of(metric.name) if openmetrics else "")


def test_both_formats_have_the_same_samples(table: MetricTable) -> None:
    one = meter(table)
    one.received(4096, 2, 0.003)
    one.login("PLAIN", True)
    note_sites(one.row, [SiteLoad("far.test", 3, 1, 1, 0.25)])
    assert samples(table) == samples(table, openmetrics=True)


def test_what_several_processes_have_counted_is_added(table: MetricTable) -> None:
    for row in (table.claim(), table.claim()):
        Meter(row, lambda: 0.0).received(4096, 2, 0.003)
    found = samples(table)
    assert found["fastsmtp_messages_received_total", ()] == 2
    assert found["fastsmtp_recipients_received_total", ()] == 4
    assert found["fastsmtp_received_bytes_total", ()] == 8192
    stage = ("stage", "commit")
    assert found["fastsmtp_session_stage_seconds_bucket", (("le", "0.0025"), stage)] == 0
    assert found["fastsmtp_session_stage_seconds_bucket", (("le", "0.005"), stage)] == 2
    assert found["fastsmtp_session_stage_seconds_bucket", (("le", "+Inf"), stage)] == 2
    assert found["fastsmtp_session_stage_seconds_count", (stage,)] == 2
    assert found["fastsmtp_session_stage_seconds_sum", (stage,)] == 0.006


def test_gauges_are_put_together_as_each_is_declared(table: MetricTable) -> None:
    for open_, short, expiry in ((3, 1, 2_000), (4, 1, 0), (0, 0, 1_000)):
        row = table.claim()
        row.counters("fastsmtp_connections_open")[()].set(open_)
        row.counters("fastsmtp_pressure")["memory",].set(short)
        row.counters("fastsmtp_certificate_expiry_timestamp_seconds")[()].set(expiry)
    found = samples(table)
    assert found["fastsmtp_connections_open", ()] == 7
    assert found["fastsmtp_pressure", (("short", "memory"),)] == 1
    assert found["fastsmtp_pressure", (("short", "queue"),)] == 0
    assert found["fastsmtp_certificate_expiry_timestamp_seconds", ()] == 1_000


def test_cpu_time_is_counted_in_parts_of_a_second(table: MetricTable) -> None:
    meter(table).cpu.add(1_250_000)
    assert samples(table)["fastsmtp_cpu_seconds_total", ()] == 1.25


def test_a_site_may_be_called_anything(table: MetricTable) -> None:
    names = ['qu"ote.test', "back\\slash.test", "new\nline.test", "umläut.test"]
    note_sites(table.claim(), [SiteLoad(name, 1, 0, 0, 0.0) for name in names])
    for openmetrics in (False, True):
        found = samples(table, openmetrics=openmetrics)
        told = {dict(labels)["site"] for name, labels in found if name == "fastsmtp_site_waiting"}
        assert told == set(names)


def test_nothing_runs_yet(table: MetricTable) -> None:
    found = samples(table)
    assert found["fastsmtp_workers", ()] == 0
    assert found["fastsmtp_start_timestamp_seconds", ()] == 1000.5


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", True),
        ("Application/OpenMetrics-Text", True),
        ("text/plain", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_who_asks_gets_what_he_reads(accept: str, openmetrics: bool) -> None:
    assert wants_openmetrics(accept) is openmetrics
    assert content_type(openmetrics=openmetrics) == (OPENMETRICS_TYPE if openmetrics else PLAIN_TYPE)


def test_a_row_that_nobody_sees_is_in_no_text(table: MetricTable) -> None:
    Meter(Row.alone(), lambda: 0.0).messages.add()
    assert samples(table)["fastsmtp_messages_received_total", ()] == 0
