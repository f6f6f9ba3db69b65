"""A bar on standard error for what takes longer than a moment; only on a terminal, and gone when it is over."""

import time
from collections.abc import Callable
from typing import TextIO

_WIDTH = 28
_FIRST = 0.3
_REDRAW = 0.1


class Bar:
    """``title`` stands before it; nothing is drawn in the first moment."""

    def __init__(self, title: str, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._title = title
        self._out = out
        self._clock = clock
        self._terminal = out.isatty()
        self._next = clock() + _FIRST
        self._drawn = 0

    def show(self, done: int, total: int, text: str) -> None:
        """``done`` of about ``total`` are; ``text`` says more."""
        now = self._clock()
        if not self._terminal or now < self._next:
            return
        self._next = now + _REDRAW
        part = min(1.0, done / total) if total else 0.0
        line = f"{self._title} [{'#' * round(part * _WIDTH):.<{_WIDTH}}] {part:4.0%}  {text}"
        self._out.write("\r" + line.ljust(self._drawn))
        self._out.flush()
        self._drawn = len(line)

    def clear(self) -> None:
        """Take it away, so that what follows begins on a clean line."""
        if self._drawn:
            self._out.write("\r" + " " * self._drawn + "\r")
            self._out.flush()
            self._drawn = 0
