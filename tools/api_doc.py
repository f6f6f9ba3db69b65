"""Writes docs/openapi.json, the description of the HTTP interface, from its operations and their types.

python -m tools.api_doc
"""

from pathlib import Path

import msgspec

from fastsmtp.clock import SystemClock
from fastsmtp.process.settings import default_settings
from fastsmtp.process.web import operations
from fastsmtp.telemetry.metrics_table import MetricTable
from fastsmtp.web.hub import Hub
from fastsmtp.web.openapi import describe

FILE = Path(__file__).resolve().parent.parent / "docs/openapi.json"


def document() -> bytes:
    """What is to be in the file."""
    place = Path()
    offered = operations(default_settings(place), Hub(place), MetricTable(0.0), SystemClock())
    return msgspec.json.format(msgspec.json.encode(describe(offered)), indent=2) + b"\n"


if __name__ == "__main__":
    FILE.write_bytes(document())
