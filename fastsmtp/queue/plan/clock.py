"""The queue's own time: it goes on by what has passed and never jumps, whatever is done to the machine's clock.

Ages and due times are kept in it. While the process lives it follows the steady clock. What is stored with the queue
is a `Reading` of both clocks; at a start, the time the process was away is what the wall clock has gone on since that
reading, nothing when it was put back, and `LONGEST_ABSENCE` at most when it was put forward, or when the machine was
off for longer: mail cannot expire because nobody was there to deliver it.

So a clock that is set while the server runs moves no due time and no expiry; one that is set between a stop and a
start, to whatever year, moves them by an hour at most.
"""

from msgspec import Struct

LONGEST_ABSENCE = 3600.0
"""Seconds of a stop that count."""


class Reading(Struct, frozen=True, array_like=True):
    """Queue time and wall time of one moment, in seconds."""

    queue: float
    wall: float


class QueueClock:
    """``wall`` and ``steady``: what the two clocks say now. ``saved``: the last reading that was stored, None for a
    new queue, whose time begins with the wall clock's."""

    __slots__ = ("_ahead", "lost")

    def __init__(self, wall: float, steady: float, saved: Reading | None) -> None:
        away = 0.0 if saved is None else wall - saved.wall
        start = wall if saved is None else saved.queue + _believed(away)
        self._ahead = start - steady
        self.lost = away - _believed(away)
        """Seconds of the absence before the start that do not count; below 0 where the clock was put back."""

    def now(self, steady: float) -> float:
        """Queue time."""
        return steady + self._ahead

    def reading(self, wall: float, steady: float) -> Reading:
        """What is to be stored, each minute or with whatever is stored anyway: what is not stored before a crash,
        the wall clock has to tell."""
        return Reading(self.now(steady), wall)

    def queued_at(self, received_at: float, wall: float, steady: float) -> float:
        """The queue time of mail that was stamped ``received_at`` by the wall clock and is not in the queue's index
        yet. A stamp of the future counts as now."""
        return self.now(steady) - _believed(wall - received_at)

    def wall_time(self, at: float, wall: float, steady: float) -> float:
        """The queue time ``at`` as the wall clock would show it; for people."""
        return wall + (at - self.now(steady))


def _believed(passed: float) -> float:
    return min(max(passed, 0.0), LONGEST_ABSENCE)
