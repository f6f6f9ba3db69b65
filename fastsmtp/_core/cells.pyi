"""Counters and histograms in memory that processes share (ext/fastsmtp/_core/cells.pyx; twin: _py_cells.py).

Cells are signed integers of 8 bytes in the machine's order. Compiled, a change is atomic for all threads and
processes; the twin's is for the threads of one process. What a Counter and a Histogram work on stays exported for
as long as they live.
"""

from collections.abc import Sequence

from typing_extensions import Buffer

MICROS: int
"""A histogram's sum is kept in so many parts of its unit."""

class Counter:
    """One cell. Raises ValueError for memory of another size."""

    def __init__(self, memory: Buffer) -> None: ...
    def add(self, many: int = 1) -> None:
        """So many more, or less."""

    def set(self, value: int) -> None:
        """It is so many now."""

    def get(self) -> int:
        """How many it is."""

class Histogram:
    """A cell for what is at most each of ``bounds`` (ascending) and above the one before, one for what is above all
    of them, and the sum. Raises ValueError for memory of another size."""

    def __init__(self, memory: Buffer, bounds: Sequence[float]) -> None: ...
    def observe(self, value: float) -> None:
        """One more of this value; what is negative or no number counts as 0, and 1e9 is the most."""
