"""The figures of all processes by a control socket."""

import asyncio
from pathlib import Path

from fastsmtp.control.client import ask
from fastsmtp.control.metrics import MetricService
from fastsmtp.control.place import socket_path
from fastsmtp.control.server import ControlServer
from fastsmtp.telemetry.metrics_table import MetricTable
from fastsmtp.telemetry.metrics_text import render


def test_the_text_is_that_of_all_processes(tmp_path: Path) -> None:
    table = MetricTable(12.5)
    table.claim().counters("fastsmtp_messages_received")[()].add(7)

    async def talk() -> list[bytes]:
        server = ControlServer(socket_path(tmp_path, 0), print)
        MetricService(table).register(server)
        await server.start()
        try:
            return [await ask(socket_path(tmp_path, 0), "metrics", wanted, bytes) for wanted in (False, True)]
        finally:
            await server.stop()

    plain, openmetrics = asyncio.run(talk())
    assert b"\nfastsmtp_messages_received_total 7\n" in plain
    assert plain == render(table)
    assert openmetrics == render(table, openmetrics=True)
