"""The report of a benchmark: figures of each round, medians, ratios; as a value, as JSON and as a table."""

import statistics
from collections.abc import Sequence

import msgspec
import orjson

from fastsmtp.loadgen.processes import Usage
from fastsmtp.loadgen.tally import Tally

FORMAT = 1
CURVE = (0, 10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 93, 95, 97, 98, 99, 99.5, 99.9, 99.95, 99.99, 100)


class Figures(msgspec.Struct, frozen=True):
    """What is compared. Latencies in milliseconds; ``megabytes_per_s`` in millions of octets; CPU and memory
    are of the server, None when it is not local or may not be looked at."""

    messages_per_s: float
    megabytes_per_s: float
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    cpu_ms_per_message: float | None = None
    rss_mb: float | None = None


class Round(msgspec.Struct, frozen=True):
    """One visit to one target. ``timeline`` counts messages in slices of ``timeline_width`` seconds; ``curve``
    are pairs of percentile and latency in milliseconds; ``interrupted``: it was ended early by Ctrl-C; ``tls`` counts
    handshakes by version, cipher and kind."""

    seconds: float
    sent: int
    failed: int
    missed: int
    connections: int
    figures: Figures
    errors: dict[str, int]
    timeline_width: float
    timeline: list[int]
    curve: list[tuple[float, float]]
    interrupted: bool = False
    tls: dict[str, int] = {}


class TargetResult(msgspec.Struct, frozen=True):
    """All rounds of one target; ``ratio`` is its median of messages a second over the first target's."""

    name: str
    address: str
    rounds: list[Round]
    median: Figures
    ratio: float | None


class Report(msgspec.Struct, frozen=True):
    """A whole run. ``durability`` is what the caller states about the servers: it cannot be seen from outside.
    ``interrupted``: the run was ended early, and targets that had not had a turn are left out."""

    date: str
    command: str
    durability: str
    load: str
    machine: dict[str, str]
    versions: dict[str, str]
    targets: list[TargetResult]
    interrupted: bool = False
    format: int = FORMAT


def round_of(tally: Tally, before: Usage | None = None, after: Usage | None = None) -> Round:
    """The figures of a tally, with the server's use of CPU and memory when both were read."""
    p50, p90, p99, p999 = tally.latency.percentiles((50, 90, 99, 99.9))
    seconds = tally.seconds
    cpu = rss = None
    if before is not None and after is not None and after.processes and tally.sent:
        cpu = max(after.cpu - before.cpu, 0.0) / tally.sent * 1e3
        rss = after.rss / 1e6
    figures = Figures(
        messages_per_s=tally.sent / seconds if seconds else 0.0,
        megabytes_per_s=tally.octets / seconds / 1e6 if seconds else 0.0,
        mean_ms=tally.latency.mean * 1e3,
        p50_ms=p50 * 1e3,
        p90_ms=p90 * 1e3,
        p99_ms=p99 * 1e3,
        p999_ms=p999 * 1e3,
        max_ms=tally.latency.longest * 1e3,
        cpu_ms_per_message=cpu,
        rss_mb=rss,
    )
    curve = list(zip(CURVE, (value * 1e3 for value in tally.latency.percentiles(CURVE)), strict=True))
    return Round(
        seconds=seconds,
        sent=tally.sent,
        failed=tally.failed,
        missed=tally.missed,
        connections=tally.connections,
        figures=figures,
        errors=dict(sorted(tally.errors.items(), key=lambda item: -item[1])),
        timeline_width=tally.timeline.width,
        timeline=tally.timeline.counts,
        curve=curve,
        interrupted=tally.interrupted,
        tls=tally.tls,
    )


def median(rounds: Sequence[Round]) -> Figures:
    """The median of each figure over the rounds; of a figure that a round lacks, over those that have it."""
    found: dict[str, float | None] = {}
    for name in Figures.__struct_fields__:
        values = [value for r in rounds if (value := getattr(r.figures, name)) is not None]
        found[name] = statistics.median(values) if values else None
    return Figures(**found)  # type: ignore[arg-type]


def results(named: Sequence[tuple[str, str, list[Round]]]) -> list[TargetResult]:
    """Medians and ratios of targets given as name, address and rounds; the first is what others are compared to."""
    base = 0.0
    found = []
    for name, address, rounds in named:
        middle = median(rounds)
        base = base or middle.messages_per_s
        found.append(
            TargetResult(name, address, rounds, middle, middle.messages_per_s / base if base else None)
        )
    return found


def to_json(report: Report) -> bytes:
    """The report as indented JSON."""
    return orjson.dumps(msgspec.to_builtins(report), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


COLUMNS = (
    "target",
    "messages/s",
    "ratio",
    "MB/s",
    "p50",
    "p90",
    "p99",
    "p99.9",
    "max",
    "failed",
    "CPU",
    "RSS",
)
UNITS = ("", "", "", "", "ms", "ms", "ms", "ms", "ms", "", "ms/msg", "MB")


def rows(report: Report) -> list[list[str]]:
    """The table's cells, a row a target."""
    return [
        [
            target.name,
            f"{target.median.messages_per_s:,.0f}",
            optional(target.ratio, ".2f"),
            f"{target.median.megabytes_per_s:,.1f}",
            *(
                f"{value:,.2f}"
                for value in (
                    target.median.p50_ms,
                    target.median.p90_ms,
                    target.median.p99_ms,
                    target.median.p999_ms,
                    target.median.max_ms,
                )
            ),
            f"{sum(r.failed + r.missed for r in target.rounds):,}",
            optional(target.median.cpu_ms_per_message, ".3f"),
            optional(target.median.rss_mb, ",.1f"),
        ]
        for target in report.targets
    ]


def optional(value: float | None, form: str) -> str:
    """A figure, or a dash where there is none."""
    return "-" if value is None else format(value, form)


def facts(report: Report) -> list[tuple[str, str]]:
    """What must be known to read the figures, as label and text."""
    rounds = max(len(target.rounds) for target in report.targets)
    figures = f"medians of {rounds} rounds" if rounds > 1 else "one round"
    if report.interrupted:
        figures += ", INTERRUPTED: the last counts what was sent until then, and none followed"
    return [
        ("load", report.load),
        ("figures", figures),
        ("durability", report.durability),
        ("machine", ", ".join(f"{key} {value}" for key, value in report.machine.items())),
        ("versions", ", ".join(f"{key} {value}" for key, value in report.versions.items())),
        ("date", report.date),
        ("command", report.command),
    ]


def errors(target: TargetResult) -> dict[str, int]:
    """Errors of all rounds by text, the most frequent first."""
    missed = {"never begun": sum(one.missed for one in target.rounds)}
    return _added([*(one.errors for one in target.rounds), missed])


def handshakes(target: TargetResult) -> dict[str, int]:
    """TLS handshakes of all rounds by version, cipher and kind, the most frequent first."""
    return _added([one.tls for one in target.rounds])


def _added(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    whole: dict[str, int] = {}
    for one in counts:
        for text, number in one.items():
            if number:
                whole[text] = whole.get(text, 0) + number
    return dict(sorted(whole.items(), key=lambda item: -item[1]))


def to_text(report: Report) -> str:
    """The report for a terminal."""
    table = [list(COLUMNS), list(UNITS), *rows(report)]
    widths = [max(len(row[column]) for row in table) for column in range(len(COLUMNS))]
    lines = []
    for row in table:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    for target in report.targets:
        counted = {**errors(target), **handshakes(target)}
        lines += [f"{target.name}: {number:,} x {text}" for text, number in counted.items()]
    lines.append("")
    lines += [f"{label + ':':12}{text}" for label, text in facts(report)]
    return "\n".join(lines)
