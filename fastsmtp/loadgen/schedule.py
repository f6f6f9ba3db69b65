"""When messages are to begin.

In a closed loop a session begins its next message when the last is done. In an open loop messages begin at a
given rate whether or not the server keeps up, and a message's latency counts from when it was due, so that a
stall is seen by all that had to wait for it (no coordinated omission).
"""

import math
from typing import Protocol

GRACE = 0.1
"""Seconds after the end of an open loop in which what was due just before it may still begin."""


class Schedule(Protocol):
    """Hands out messages to the sessions of one process. Times are monotonic seconds."""

    taken: int

    def begin(self, start: float) -> None:
        """The run starts."""

    def take(self, now: float) -> float | None:
        """The intended start of a message that may begin now, or None."""

    def due(self, now: float) -> float | None:
        """When the next message may begin; None when there is none left."""

    def missed(self) -> int:
        """Of those that were due when the run ended, how many never began."""


class ClosedLoop:
    """``messages`` messages (None: no end), none after ``duration`` seconds (None: no end)."""

    def __init__(self, messages: int | None, duration: float | None) -> None:
        self.taken = 0
        self._messages = messages
        self._duration = duration
        self._until = math.inf

    def begin(self, start: float) -> None:
        if self._duration is not None:
            self._until = start + self._duration

    def take(self, now: float) -> float | None:
        if self.due(now) is None:
            return None
        self.taken += 1
        return now

    def due(self, now: float) -> float | None:
        if now >= self._until or (self._messages is not None and self.taken >= self._messages):
            return None
        return now

    def missed(self) -> int:
        return 0


class OpenLoop:
    """``rate`` messages a second over all ``processes``; this is process ``index`` of them.

    Message k of the whole run is due k / rate seconds after its start, and belongs to process k mod processes.
    ``messages`` and ``duration`` (seconds) bound the whole run's schedule; one of them is given.
    """

    def __init__(
        self, rate: float, index: int, processes: int, messages: int | None, duration: float | None
    ) -> None:
        self.taken = 0
        self._step = processes / rate
        self._offset = index / rate
        whole = min(
            math.inf if messages is None else messages,
            math.inf if duration is None else math.ceil(duration * rate - 1e-9),
        )
        self._count = len(range(index, int(whole), processes))
        self._start = 0.0
        self._until = math.inf if duration is None else duration + GRACE

    def begin(self, start: float) -> None:
        self._start = start
        self._until += start

    def take(self, now: float) -> float | None:
        intended = self.due(now)
        if intended is None or intended > now:
            return None
        self.taken += 1
        return intended

    def due(self, now: float) -> float | None:
        if self.taken >= self._count or now >= self._until:
            return None
        return self._start + self._offset + self.taken * self._step

    def missed(self) -> int:
        return self._count - self.taken
