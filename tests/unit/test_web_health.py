"""Metrics and health as answers of HTTP."""

import asyncio
from typing import Any

from fastsmtp.telemetry.metrics_table import MetricTable, Row
from fastsmtp.web.access import Client
from fastsmtp.web.health import HealthApi
from fastsmtp.web.operation import Answer, Asked


def ask(table: MetricTable, path: str, accept: str = "") -> Answer:
    async def nothing() -> Any:
        return
        yield b""

    headers = {"accept": accept} if accept else {}
    asked = Asked(Client("127.0.0.1", False, True), None, {}, None, None, headers, nothing(), None)
    (one,) = (one for one in HealthApi(table, lambda: 100.0).operations() if one.path == path)
    assert one.right is None

    async def main() -> Any:
        return await one.handler(asked)

    answer = asyncio.run(main())
    assert isinstance(answer, Answer)
    return answer


def worker(table: MetricTable, beat: int) -> Row:
    row = table.claim()
    row.counters("fastsmtp_workers")[()].set(1)
    row.counters("fastsmtp_worker_beat_seconds")[()].set(beat)
    return row


def test_without_a_worker_it_neither_lives_nor_takes_mail() -> None:
    table = MetricTable(0.0)
    for path in ("/livez", "/readyz"):
        answer = ask(table, path)
        assert (answer.status, answer.body) == (503, b"no worker serves\n"), path
        assert answer.type == "text/plain; charset=utf-8"


def test_a_worker_that_puts_mail_off_lives() -> None:
    table = MetricTable(0.0)
    row = worker(table, 99)
    assert (ask(table, "/readyz").status, ask(table, "/readyz").body) == (200, b"ok\n")
    row.counters("fastsmtp_pressure")["disk_free",].set(1)
    assert (ask(table, "/livez").status, ask(table, "/livez").body) == (200, b"ok\n")
    answer = ask(table, "/readyz")
    assert (answer.status, answer.body) == (503, b"new mail is put off: pressure.disk_free\n")


def test_metrics_are_of_the_form_that_is_asked_for() -> None:
    table = MetricTable(0.0)
    worker(table, 99)
    plain, openmetrics = ask(table, "/metrics"), ask(table, "/metrics", "application/openmetrics-text")
    assert plain.type.startswith("text/plain; version=0.0.4")
    assert b"\nfastsmtp_workers 1\n" in plain.body
    assert not plain.body.endswith(b"# EOF\n")
    assert openmetrics.type.startswith("application/openmetrics-text")
    assert openmetrics.body.endswith(b"# EOF\n")
