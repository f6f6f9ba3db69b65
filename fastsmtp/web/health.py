"""Metrics, and whether the server lives and takes mail. Whoever may ask at all needs no token."""

from collections.abc import Callable, Sequence

from fastsmtp.telemetry.health import live, ready
from fastsmtp.telemetry.metrics_table import MetricTable
from fastsmtp.telemetry.metrics_text import content_type, render, wants_openmetrics
from fastsmtp.web.operation import Answer, Asked, Operation

_TEXT = "text/plain; charset=utf-8"


class HealthApi:
    """Reads ``table``; ``now`` is the steady clock."""

    def __init__(self, table: MetricTable, now: Callable[[], float]) -> None:
        self._table = table
        self._now = now

    def operations(self) -> list[Operation]:
        """What can be asked."""
        return [
            Operation(
                method="GET",
                path="/metrics",
                name="metrics",
                group="health",
                summary="All metrics, of Prometheus",
                about="As OpenMetrics where Accept asks for it.",
                handler=self._metrics,
                right=None,
                answer_type="text/plain",
            ),
            Operation(
                method="GET",
                path="/livez",
                name="live",
                group="health",
                summary="Whether a worker answers; 503 with the reasons where none does",
                handler=self._live,
                right=None,
                answer_type="text/plain",
            ),
            Operation(
                method="GET",
                path="/readyz",
                name="ready",
                group="health",
                summary="Whether mail would be taken now; 503 with the reasons where it would be put off",
                handler=self._ready,
                right=None,
                answer_type="text/plain",
            ),
        ]

    async def _metrics(self, asked: Asked) -> Answer:
        openmetrics = wants_openmetrics(asked.headers.get("accept", ""))
        body = render(self._table, openmetrics=openmetrics)
        return Answer(body, type=content_type(openmetrics=openmetrics))

    async def _live(self, asked: Asked) -> Answer:
        return _told(live(self._table, self._now()))

    async def _ready(self, asked: Asked) -> Answer:
        return _told(ready(self._table, self._now()))


def _told(problems: Sequence[str]) -> Answer:
    text = "".join(f"{line}\n" for line in problems or ("ok",))
    return Answer(text.encode(), 503 if problems else 200, _TEXT)
