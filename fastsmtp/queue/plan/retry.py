"""When a mail is tried again, when its sender is told that it is late, and when it is given up (RFC 5321 §4.5.4.1).

Times are those of `QueueClock`: seconds that do not jump.
"""

from random import Random
from typing import Literal

from msgspec import Struct

Fate = Literal["wait", "notice", "expired"]
"""What becomes of a mail after an attempt failed: nothing, its sender is told that it is late, it is given up."""


class RetrySchedule(Struct, frozen=True, kw_only=True):
    """``pauses``: seconds after the first, second, … attempt, of which the last repeats. ``jitter``: the share of a
    pause by which it may be longer, never shorter. ``expire``: seconds after which a mail is given up.
    ``delay_notice``: seconds after which the sender is told, 0 for never."""

    pauses: tuple[float, ...]
    jitter: float
    expire: float
    delay_notice: float

    def pause(self, attempt: int, rng: Random) -> float:
        """Seconds to wait after attempt number ``attempt``, counted from 1."""
        pause = self.pauses[min(attempt, len(self.pauses)) - 1]
        return pause * (1 + self.jitter * rng.random())

    def expires_at(self, queued_at: float) -> float:
        """When a mail of ``queued_at`` has its last attempt: in whole milliseconds, as due times are stored, or it
        could come a moment before, and be made once more."""
        return round(queued_at + self.expire, 3)

    def delay_notice_at(self, queued_at: float) -> float | None:
        """When the sender of a mail of ``queued_at`` is told; None for never, as when it would have expired."""
        return queued_at + self.delay_notice if 0 < self.delay_notice < self.expire else None

    def next_at(self, attempt: int, last_at: float, queued_at: float, rng: Random) -> float | None:
        """When a mail of ``queued_at`` is tried again after attempt number ``attempt`` failed at ``last_at``; None
        when that was the last one.

        The last attempt is made at the expiry, and not skipped because the pause would end later. One that would
        come shortly before it is made then too: two in a row would tell the same.
        """
        end = self.expires_at(queued_at)
        if last_at >= end:
            return None
        at = last_at + self.pause(attempt, rng)
        return at if at + self.pauses[0] <= end else end

    def fate(self, queued_at: float, attempt_at: float, *, noticed: bool) -> Fate:
        """What an attempt that failed at ``attempt_at`` means for a mail of ``queued_at``, its own attempt or that
        of the site it waits for. ``noticed``: its sender was told already. Without an attempt nothing expires."""
        if attempt_at >= self.expires_at(queued_at):
            return "expired"
        told_at = self.delay_notice_at(queued_at)
        return "notice" if not noticed and told_at is not None and attempt_at >= told_at else "wait"
