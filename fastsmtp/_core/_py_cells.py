"""The plain twin of ext/fastsmtp/_core/cells.pyx; the interface is in cells.pyi."""

import threading
from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

MICROS = 1_000_000
_CELL = 8
_MOST = 1_000_000_000
_ADDING = threading.Lock()


class Counter:
    """See cells.pyi."""

    __slots__ = ("_cell",)

    def __init__(self, memory: "Buffer") -> None:
        cells = memoryview(memory).cast("B")
        if len(cells) != _CELL:
            raise ValueError("a counter is 8 bytes")
        self._cell = cells.cast("q")

    def add(self, many: int = 1) -> None:
        """See cells.pyi."""
        with _ADDING:
            self._cell[0] += many

    def set(self, value: int) -> None:
        """See cells.pyi."""
        self._cell[0] = value

    def get(self) -> int:
        """See cells.pyi."""
        return self._cell[0]


class Histogram:
    """See cells.pyi."""

    __slots__ = ("_bounds", "_cells")

    def __init__(self, memory: "Buffer", bounds: Sequence[float]) -> None:
        cells = memoryview(memory).cast("B")
        if len(cells) != (len(bounds) + 2) * _CELL:
            raise ValueError("a histogram is 8 bytes for each bound, and 16")
        self._cells = cells.cast("q")
        self._bounds = list(bounds)

    def observe(self, value: float) -> None:
        """See cells.pyi."""
        value = min(value, _MOST) if value > 0 else 0.0
        index = bisect_left(self._bounds, value)
        with _ADDING:
            self._cells[index] += 1
            self._cells[len(self._bounds) + 1] += int(value * MICROS + 0.5)
