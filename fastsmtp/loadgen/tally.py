"""What a sending process counted, and how it is put together with the others'."""

import msgspec

from fastsmtp.loadgen.histogram import Histogram
from fastsmtp.loadgen.timeline import Timeline

DISTINCT_ERRORS = 50
OTHER = "(other replies)"


class Counts(msgspec.Struct):
    """A tally on its way from a process to the one that gathers; ``final`` marks the last."""

    final: bool = False
    sent: int = 0
    failed: int = 0
    missed: int = 0
    octets: int = 0
    connections: int = 0
    seconds: float = 0.0
    errors: dict[str, int] = {}
    latency: list[int] = []
    latency_total: float = 0.0
    latency_longest: float = 0.0
    width: float = 0.1
    slices: list[int] = []
    failure: str = ""
    tls: dict[str, int] = {}


class Tally:
    """What was sent and what came of it.

    ``sent`` messages were accepted by the server, ``failed`` began and were not, ``missed`` were due and never
    began; ``octets`` counts the accepted ones; ``seconds`` is from the start to the last end of a message.
    ``tls`` counts handshakes by version, cipher and kind. ``failure`` is why the run could not go on, in one
    line; ``interrupted``, whether somebody ended it early.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.failed = 0
        self.missed = 0
        self.octets = 0
        self.connections = 0
        self.seconds = 0.0
        self.errors: dict[str, int] = {}
        self.latency = Histogram()
        self.timeline = Timeline()
        self.tls: dict[str, int] = {}
        self.failure = ""
        self.interrupted = False

    def accepted(self, latency: float, octets: int, since_start: float) -> None:
        """One message was accepted, ``latency`` seconds after its intended start."""
        self.sent += 1
        self.octets += octets
        self.latency.record(latency)
        self.timeline.record(since_start)
        self.seconds = since_start

    def error(self, text: str, number: int = 1) -> None:
        """Something went wrong. Texts that are all different share one count beyond the first fifty."""
        if text not in self.errors and len(self.errors) >= DISTINCT_ERRORS:
            text = OTHER
        self.errors[text] = self.errors.get(text, 0) + number

    def counts(self, *, final: bool) -> Counts:
        """As sent to the process that gathers: in the middle of a run only what the progress shows."""
        if not final:
            return Counts(sent=self.sent, failed=self.failed)
        return Counts(
            True,
            self.sent,
            self.failed,
            self.missed,
            self.octets,
            self.connections,
            self.seconds,
            self.errors,
            self.latency.counts,
            self.latency.total,
            self.latency.longest,
            self.timeline.width,
            self.timeline.counts,
            self.failure,
            self.tls,
        )

    def add(self, counts: Counts) -> None:
        """Adds another process's final counts."""
        self.sent += counts.sent
        self.failed += counts.failed
        self.missed += counts.missed
        self.octets += counts.octets
        self.connections += counts.connections
        self.seconds = max(self.seconds, counts.seconds)
        for text, number in counts.errors.items():
            self.error(text, number)
        for how, number in counts.tls.items():
            self.tls[how] = self.tls.get(how, 0) + number
        self.latency.merge(
            Histogram(counts.latency, counts.sent, counts.latency_total, counts.latency_longest)
        )
        self.timeline.merge(Timeline(counts.width, counts.slices))
        self.failure = self.failure or counts.failure
