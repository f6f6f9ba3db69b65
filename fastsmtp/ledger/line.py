"""A line of the ledger as its readers use it: whatever kinds and fields a newer server may have written."""

from typing import Any, NamedTuple

import msgspec


class Line(NamedTuple):
    """An event. ``at`` in seconds since 1970 UTC; ``fields`` as in telemetry/events.py, ``raw`` as it stands."""

    at: float
    kind: str
    fields: dict[str, Any]
    raw: bytes

    def text(self, name: str) -> str:
        """The field ``name``, empty where it is not a string."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else ""

    def texts(self, name: str) -> list[str]:
        """The field ``name``, a string or a list of them, as a list."""
        value = self.fields.get(name)
        values = value if isinstance(value, list) else [value]
        return [one for one in values if isinstance(one, str)]

    def number(self, name: str) -> float:
        """The field ``name``, 0 where it is not a number."""
        value = self.fields.get(name)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else 0


_decode = msgspec.json.Decoder(dict[str, Any]).decode


def read_line(raw: bytes) -> Line | None:
    """The event in a line, None where it holds none."""
    try:
        fields = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    at, kind = fields.get("at"), fields.get("kind")
    if not isinstance(at, int | float) or isinstance(at, bool) or not isinstance(kind, str):
        return None
    return Line(float(at), kind, fields, raw)
