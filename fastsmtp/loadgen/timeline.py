"""How many messages were sent when: equal slices of time, doubled in width when there would be too many."""

from collections.abc import Sequence

SLICES = 600


class Timeline:
    """Counts over time; ``width`` is the length of a slice in seconds."""

    __slots__ = ("counts", "width")

    def __init__(self, width: float = 0.1, counts: Sequence[int] = ()) -> None:
        self.width = width
        self.counts = list(counts)

    def record(self, seconds: float) -> None:
        """Counts one event, ``seconds`` after the start."""
        index = int(max(seconds, 0.0) / self.width)
        while index >= SLICES:
            self.coarsen()
            index //= 2
        if index >= len(self.counts):
            self.counts.extend([0] * (index + 1 - len(self.counts)))
        self.counts[index] += 1

    def coarsen(self) -> None:
        """Doubles the width of the slices."""
        if len(self.counts) % 2:
            self.counts.append(0)
        self.counts = [a + b for a, b in zip(self.counts[::2], self.counts[1::2], strict=True)]
        self.width *= 2

    def merge(self, other: "Timeline") -> None:
        """Adds what ``other`` counted; both must have begun with the same width."""
        theirs = Timeline(other.width, other.counts)
        while self.width < theirs.width:
            self.coarsen()
        while theirs.width < self.width:
            theirs.coarsen()
        longer, shorter = sorted((self.counts, theirs.counts), key=len, reverse=True)
        self.counts = [*(a + b for a, b in zip(longer, shorter, strict=False)), *longer[len(shorter) :]]
