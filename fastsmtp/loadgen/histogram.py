"""A histogram of durations with logarithmic buckets: fixed memory, any number of values, mergeable.

Durations are counted in microseconds; each octave is cut into 64 buckets, so a percentile read from it is off
by at most 1.6 %. What lies above 2^36 microseconds (19 hours) is counted in the last bucket.
"""

from collections.abc import Sequence

_BITS = 6
_SUB = 1 << _BITS
_OCTAVES = 36
BUCKETS = (_OCTAVES - _BITS) * _SUB + _SUB


def bucket_of(micros: int) -> int:
    """The bucket that counts a duration of ``micros`` microseconds."""
    if micros < 2 * _SUB:
        return max(micros, 0)
    shift = micros.bit_length() - _BITS - 1
    return min((shift << _BITS) + (micros >> shift), BUCKETS - 1)


def middle_of(bucket: int) -> float:
    """The duration in microseconds that stands for a bucket."""
    if bucket < 2 * _SUB:
        return float(bucket)
    shift = (bucket >> _BITS) - 1
    return ((bucket - (shift << _BITS)) << shift) + (1 << shift) / 2


class Histogram:
    """Counts durations given in seconds."""

    __slots__ = ("counts", "longest", "number", "total")

    def __init__(
        self, counts: Sequence[int] = (), number: int = 0, total: float = 0.0, longest: float = 0.0
    ) -> None:
        self.counts = list(counts) or [0] * BUCKETS
        self.number = number
        self.total = total
        self.longest = longest

    def record(self, seconds: float) -> None:
        """Counts one duration."""
        self.counts[bucket_of(int(seconds * 1e6))] += 1
        self.number += 1
        self.total += seconds
        if seconds > self.longest:
            self.longest = seconds

    def merge(self, other: "Histogram") -> None:
        """Adds what ``other`` counted."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.number += other.number
        self.total += other.total
        self.longest = max(self.longest, other.longest)

    @property
    def mean(self) -> float:
        """The mean in seconds; 0 without values."""
        return self.total / self.number if self.number else 0.0

    def percentile(self, percent: float) -> float:
        """The duration in seconds that ``percent`` of all values do not exceed; 0 without values."""
        return self.percentiles((percent,))[0]

    def percentiles(self, percents: Sequence[float]) -> list[float]:
        """Several at once; ``percents`` rise."""
        found: list[float] = []
        seen, bucket = 0, -1
        for percent in percents:
            wanted = percent / 100 * self.number
            while bucket < BUCKETS - 1 and (seen < wanted or seen == 0) and seen < self.number:
                bucket += 1
                seen += self.counts[bucket]
            # what shares the last bucket with the longest is not told as longer than that one
            found.append(min(middle_of(bucket) / 1e6, self.longest) if self.number else 0.0)
            if self.number and percent >= 100:
                found[-1] = self.longest
        return found
