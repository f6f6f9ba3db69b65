"""When a worker that died is started again."""

QUICK_DEATH = 5.0
"""A worker that lived less than this many seconds counts as one that cannot live."""

DELAYS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds to wait after the first, second, … death in a row."""


class RestartPlan:
    """Counts the quick deaths of one worker slot."""

    __slots__ = ("_deaths",)

    def __init__(self) -> None:
        self._deaths = 0

    def died(self, lived: float) -> float:
        """The worker died after ``lived`` seconds; returns the seconds to wait before the next start."""
        if lived >= QUICK_DEATH:
            self._deaths = 0
        delay = DELAYS[min(self._deaths, len(DELAYS) - 1)]
        self._deaths += 1
        return delay
