"""Events as lines of text (ext/fastsmtp/_core/lines.pyx; twin: _py_lines.py).

What an event's line says is written down in fastsmtp/telemetry/text.py. The compiled form writes what every message
brings, being received and being delivered, by itself, and asks for all other lines, and for those that need escapes.
"""

from collections.abc import Callable, Sequence
from typing import Any

class Stamps:
    """Seconds since 1970 UTC as ``2026-11-24T05:35:00.123Z``; those of a millisecond share one text."""

    def of(self, at: float) -> str:
        """``at`` as text, cut to milliseconds; what is before 1970 is 1970."""

class Lines:
    """``received`` and ``delivered``: the types of these events; ``other`` gives the line of any event, in ASCII."""

    def __init__(self, received: type, delivered: type, other: Callable[[Any], str]) -> None: ...
    def __call__(self, batch: Sequence[Any], who: bytes) -> bytes:
        """Each event of ``batch`` as its time, ``who``, its line and LF."""
