"""How far a run of the load generator has come."""

import time
from collections.abc import Callable
from typing import TextIO

from fastsmtp.cli.bar import Bar

_LINE = 5.0
"""Seconds between two lines where no bar can be drawn."""


class LoadProgress:
    """Shows one run: ``total`` messages, or ``duration`` seconds, whichever is further along."""

    def __init__(
        self,
        title: str,
        out: TextIO,
        total: int | None,
        duration: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bar = Bar(title, out, clock, line_every=_LINE)
        self._total = total
        self._duration = duration

    def update(self, elapsed: float, sent: int, failed: int) -> None:
        """``elapsed`` is in seconds."""
        parts = [0.0]
        if self._total:
            parts.append((sent + failed) / self._total)
        if self._duration:
            parts.append(elapsed / self._duration)
        rate = sent / elapsed if elapsed > 0 else 0.0
        self._bar.show(
            max(parts), f"{sent:,} sent, {rate:,.0f}/s" + (f", {failed:,} failed" if failed else "")
        )

    def clear(self) -> None:
        """Take the bar away."""
        self._bar.clear()
