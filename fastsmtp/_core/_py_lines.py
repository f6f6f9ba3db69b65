"""Plain twin of ``lines``."""

import time
from collections.abc import Callable, Sequence
from typing import Any


class Stamps:
    """See lines.pyi."""

    def __init__(self) -> None:
        self._second = self._millisecond = -1
        self._stamp = self._text = ""

    def of(self, at: float) -> str:
        """See lines.pyi."""
        millisecond = max(int(at * 1000), 0)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            second, rest = divmod(millisecond, 1000)
            if second != self._second:
                self._second = second
                self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
            self._text = f"{self._stamp}{rest:03d}Z"
        return self._text


class Lines:
    """See lines.pyi."""

    def __init__(self, received: type, delivered: type, other: Callable[[Any], str]) -> None:
        self._line = other
        self._stamp = Stamps().of

    def __call__(self, batch: Sequence[Any], who: bytes) -> bytes:
        """See lines.pyi."""
        stamp, line, name = self._stamp, self._line, who.decode("ascii")
        return "".join([f"{stamp(one.at)}{name}{line(one)}\n" for one in batch]).encode("ascii")
