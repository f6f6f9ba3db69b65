"""Progress on standard error: a bar that redraws itself on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable
from typing import TextIO

_BAR = 28
_REDRAW = 0.1
_LINE = 5.0


class Progress:
    """Shows one run: ``total`` messages, or ``duration`` seconds, whichever is further along."""

    def __init__(
        self,
        title: str,
        out: TextIO,
        total: int | None,
        duration: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title = title
        self._out = out
        self._total = total
        self._duration = duration
        self._clock = clock
        self._terminal = out.isatty()
        self._next = clock() + (_REDRAW if self._terminal else _LINE)
        self._drawn = 0

    def update(self, elapsed: float, sent: int, failed: int) -> None:
        """Draws, unless it has just been drawn. ``elapsed`` is in seconds."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + (_REDRAW if self._terminal else _LINE)
        done = self._fraction(elapsed, sent + failed)
        rate = sent / elapsed if elapsed > 0 else 0.0
        text = f"{done:4.0%}  {sent:,} sent, {rate:,.0f}/s" + (f", {failed:,} failed" if failed else "")
        if not self._terminal:
            self._out.write(f"{self._title}: {text.strip()}\n")
            self._out.flush()
            return
        filled = round(done * _BAR)
        line = f"{self._title} [{'#' * filled}{'.' * (_BAR - filled)}] {text}"
        self._out.write("\r" + line.ljust(self._drawn))
        self._out.flush()
        self._drawn = len(line)

    def clear(self) -> None:
        """Takes the bar away, so that what follows begins on a clean line."""
        if self._drawn:
            self._out.write("\r" + " " * self._drawn + "\r")
            self._out.flush()
            self._drawn = 0

    def _fraction(self, elapsed: float, handled: int) -> float:
        parts = [0.0]
        if self._total:
            parts.append(handled / self._total)
        if self._duration:
            parts.append(elapsed / self._duration)
        return min(max(parts), 1.0)
