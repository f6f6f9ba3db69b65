"""The request ``metrics`` of a control socket: the figures of all processes. Any worker answers for all."""

from fastsmtp.control.server import ControlServer
from fastsmtp.telemetry.metrics_table import MetricTable
from fastsmtp.telemetry.metrics_text import render


class MetricService:
    """Answers by ``table``."""

    def __init__(self, table: MetricTable) -> None:
        self._table = table

    def register(self, server: ControlServer) -> None:
        """Let ``server`` answer the verb."""
        server.register("metrics", bool, self.text)

    async def text(self, openmetrics: bool) -> bytes:
        """See `render`."""
        return render(self._table, openmetrics=openmetrics)
