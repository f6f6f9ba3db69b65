"""How far something has come, on standard error: on a terminal a bar that goes when it is over, elsewhere nothing or
a line now and then."""

import time
from collections.abc import Callable
from typing import TextIO

_WIDTH = 28
_FIRST = 0.3
_REDRAW = 0.1


class Bar:
    """``title`` stands before it; nothing is drawn in the first moment. Where there is no terminal a line is printed
    each ``line_every`` seconds; None: never."""

    def __init__(
        self,
        title: str,
        out: TextIO,
        clock: Callable[[], float] = time.monotonic,
        *,
        line_every: float | None = None,
    ) -> None:
        self._title = title
        self._out = out
        self._clock = clock
        self._terminal = out.isatty()
        self._every = _REDRAW if self._terminal else line_every
        self._next = clock() + (_FIRST if self._terminal else line_every or 0.0)
        self._drawn = 0

    def show(self, part: float, text: str) -> None:
        """``part`` of it, 0 to 1, is done; ``text`` says more. Shown unless that was just done."""
        now = self._clock()
        if self._every is None or now < self._next:
            return
        self._next = now + self._every
        part = min(1.0, part)
        if not self._terminal:
            self._out.write(f"{self._title}: {part:.0%}  {text}\n")
            self._out.flush()
            return
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
