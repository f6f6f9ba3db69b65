"""Reads metrics as text, and what happened between two readings."""

import re
from collections.abc import Iterator, Mapping
from math import inf
from typing import NamedTuple

_LINE = re.compile(r"([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})? ([^ ]+)\Z")
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)",?')
_ESCAPES = re.compile(r"\\(.)")


class Sample(NamedTuple):
    """One figure."""

    name: str
    labels: Mapping[str, str]
    value: float


def read_samples(text: str) -> Iterator[Sample]:
    """The samples of a text that the server made, in its order."""
    for line in text.splitlines():
        found = None if line.startswith("#") else _LINE.match(line)
        if found is not None:
            labels = {name: _plain(value) for name, value in _LABEL.findall(found[2] or "")}
            yield Sample(found[1], labels, float(found[3]))


def _plain(value: str) -> str:
    return _ESCAPES.sub(lambda found: "\n" if found[1] == "n" else found[1], value)


class Reading:
    """All samples of one moment."""

    def __init__(self, text: str) -> None:
        self._samples: dict[str, list[Sample]] = {}
        for sample in read_samples(text):
            self._samples.setdefault(sample.name, []).append(sample)

    def all(self, name: str) -> list[Sample]:
        """Those of a name."""
        return self._samples.get(name, [])

    def total(self, name: str, **labels: str) -> float:
        """The sum of those of a name that have these ``labels``."""
        return sum(sample.value for sample in self.all(name) if labels.items() <= sample.labels.items())

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Sums by the values of one label."""
        found: dict[str, float] = {}
        for sample in self.all(name):
            if labels.items() <= sample.labels.items():
                value = sample.labels.get(label, "")
                found[value] = found.get(value, 0.0) + sample.value
        return found


class Between:
    """What happened from one reading to a later one, ``seconds`` after it. Of a server that was started meanwhile, it
    is what happened since."""

    def __init__(self, before: Reading, after: Reading, seconds: float) -> None:
        self._after = after
        self._seconds = seconds
        same = before.total("fastsmtp_start_timestamp_seconds") == after.total(
            "fastsmtp_start_timestamp_seconds"
        )
        self._before = before if same else Reading("")

    def rate(self, name: str, **labels: str) -> float:
        """How many a second were counted."""
        return max(0.0, self._grown(name, **labels)) / self._seconds

    def rates(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """The same by the values of one label, without those of which nothing was counted."""
        before = self._before.by(name, label, **labels)
        grown = {
            value: total - before.get(value, 0.0)
            for value, total in self._after.by(name, label, **labels).items()
        }
        return {value: count / self._seconds for value, count in grown.items() if count > 0}

    def quantile(self, name: str, part: float, **labels: str) -> float | None:
        """The value that ``part`` of what a histogram has counted does not exceed, as well as its buckets tell; None
        when nothing was counted."""
        before = self._before.by(f"{name}_bucket", "le", **labels)
        counts = [
            (inf if bound == "+Inf" else float(bound), total - before.get(bound, 0.0))
            for bound, total in self._after.by(f"{name}_bucket", "le", **labels).items()
        ]
        return quantile(sorted(counts), part)

    def _grown(self, name: str, **labels: str) -> float:
        return self._after.total(name, **labels) - self._before.total(name, **labels)


def quantile(counts: list[tuple[float, float]], part: float) -> float | None:
    """Of upper bounds, each with how many are not above it: where ``part`` of all is reached, evenly within a bucket.
    Above the last bound that bound."""
    if not counts or counts[-1][1] <= 0:
        return None
    wanted = counts[-1][1] * part
    low = below = 0.0
    for bound, count in counts:
        if count >= wanted and count > below:
            return low if bound == inf else low + (bound - low) * (wanted - below) / (count - below)
        if bound != inf:
            low = bound
        below = count
    return low
