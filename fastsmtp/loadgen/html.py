"""The report as one self-contained HTML page: tables and inline SVG, no script, nothing fetched."""

from collections.abc import Sequence
from html import escape

from fastsmtp.loadgen import plots
from fastsmtp.loadgen.report import (
    COLUMNS,
    UNITS,
    Report,
    Round,
    TargetResult,
    errors,
    facts,
    handshakes,
    rows,
)

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2126; --dim: #6a737d; --grid: #d9dde1; --page: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ea; --dim: #98a1aa; --grid: #3a4148; --page: #16191c; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); margin: 2rem auto;
  max-width: 960px; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--grid); }
th:first-child, td:first-child, .facts td, .facts th { text-align: left; vertical-align: top; }
.scroll { overflow-x: auto; } small { color: var(--dim); } code { overflow-wrap: anywhere; }
svg { width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; fill: var(--dim); }
.mid { text-anchor: middle; } .end { text-anchor: end; } .grid { stroke: var(--grid); stroke-width: 1; }
.line { fill: none; stroke-width: 2; } .whisker { stroke: var(--ink); stroke-width: 1.5; }
.fill.c0 { fill: #2563c9; } .fill.c1 { fill: #d9730d; } .fill.c2 { fill: #2b8a57; }
.fill.c3 { fill: #a13db5; } .fill.c4 { fill: #b3261e; } .fill.c5 { fill: #7a7f00; }
.line.c0 { stroke: #2563c9; } .line.c1 { stroke: #d9730d; } .line.c2 { stroke: #2b8a57; }
.line.c3 { stroke: #a13db5; } .line.c4 { stroke: #b3261e; } .line.c5 { stroke: #7a7f00; }
"""
_PERCENTILES = ((1.0, "0"), (10.0, "90"), (100.0, "99"), (1_000.0, "99.9"), (10_000.0, "99.99"))


def to_html(report: Report) -> str:
    """The page; well-formed as XML too."""
    parts = [
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>',
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
        f"<title>fastsmtp bench, {escape(report.date)}</title><style>{_STYLE}</style></head><body>",
        "<h1>fastsmtp bench</h1>",
        _facts(report),
        "<h2>Figures</h2>",
        _figures(report),
        "<h2>Messages per second</h2>",
        _bars(report.targets),
        "<h2>Throughput over time</h2>",
        _throughput(report.targets),
        "<h2>Latency by percentile</h2>",
        _latency(report.targets),
        "<h2>Rounds</h2>",
        _rounds(report.targets),
        _handshakes(report.targets),
        _errors(report.targets),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _facts(report: Report) -> str:
    lines = "".join(
        f"<tr><th>{label}</th><td>{f'<code>{escape(text)}</code>' if label == 'command' else escape(text)}</td></tr>"
        for label, text in facts(report)
    )
    return f'<table class="facts">{lines}</table>'


def _figures(report: Report) -> str:
    head = [
        f"{escape(name)}{f'<br/><small>{unit}</small>' if unit else ''}"
        for name, unit in zip(COLUMNS, UNITS, strict=True)
    ]
    return _table(head, rows(report))


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """``head`` is markup, ``body`` text."""
    titles = "".join(f"<th>{cell}</th>" for cell in head)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in body)
    return f'<div class="scroll"><table><tr>{titles}</tr>{lines}</table></div>'


def _bars(targets: Sequence[TargetResult]) -> str:
    drawn = []
    for target in targets:
        rates = [one.figures.messages_per_s for one in target.rounds]
        drawn.append(plots.Bar(target.name, target.median.messages_per_s, min(rates), max(rates)))
    axis = plots.linear_axis(
        "messages/s, median; line: lowest to highest round", max(b.highest for b in drawn)
    )
    return plots.bars("Messages per second of each target", axis, drawn)


def _typical(target: TargetResult) -> Round:
    """The round whose rate is the median's, or the one below."""
    ordered = sorted(target.rounds, key=lambda one: one.figures.messages_per_s)
    return ordered[(len(ordered) - 1) // 2]


def _throughput(targets: Sequence[TargetResult]) -> str:
    drawn = []
    longest = highest = 0.0
    for target in targets:
        one = _typical(target)
        width = one.timeline_width
        points = []
        for index, number in enumerate(one.timeline):
            # the last slice ends with the run: too little of it tells nothing about the rate
            span = min(width, one.seconds - index * width)
            if span > width / 2 or not index:
                points.append(((index + 0.5) * width, number / max(span, width / 10)))
        longest = max(longest, one.seconds)
        highest = max(highest, *(rate for _, rate in points), 0.0) if points else highest
        drawn.append(plots.Line(target.name, points))
    return plots.lines(
        "Throughput over time",
        plots.linear_axis("seconds since the start, round of median rate", longest or 1.0),
        plots.linear_axis("messages/s", highest or 1.0),
        drawn,
    )


def _latency(targets: Sequence[TargetResult]) -> str:
    drawn = []
    values = []
    for target in targets:
        points = [(1 / (1 - min(percent, 99.99) / 100), ms) for percent, ms in _typical(target).curve]
        values += [ms for _, ms in points if ms > 0]
        drawn.append(plots.Line(target.name, points))
    across = plots.Axis("percentile, round of median rate", _PERCENTILES, 1.0, 10_000.0, True)
    up = plots.log_axis("milliseconds", min(values, default=0.1), max(values, default=1.0))
    return plots.lines("Latency by percentile", across, up, drawn)


def _rounds(targets: Sequence[TargetResult]) -> str:
    body = [
        [
            target.name,
            f"{number}, interrupted" if one.interrupted else str(number),
            f"{one.sent:,}",
            f"{one.failed + one.missed:,}",
            f"{one.seconds:.2f}",
            f"{one.figures.messages_per_s:,.0f}",
            f"{one.figures.p50_ms:.2f}",
            f"{one.figures.p99_ms:.2f}",
            f"{one.figures.max_ms:.2f}",
        ]
        for target in targets
        for number, one in enumerate(target.rounds, 1)
    ]
    head = ("target", "round", "sent", "failed", "seconds", "messages/s", "p50 ms", "p99 ms", "max ms")
    return _table(head, body)


def _handshakes(targets: Sequence[TargetResult]) -> str:
    body = [
        [target.name, f"{number:,}", how] for target in targets for how, number in handshakes(target).items()
    ]
    return f"<h2>TLS handshakes</h2>{_table(('target', 'times', 'kind'), body)}" if body else ""


def _errors(targets: Sequence[TargetResult]) -> str:
    body = [
        [target.name, f"{number:,}", text] for target in targets for text, number in errors(target).items()
    ]
    return f"<h2>Errors</h2>{_table(('target', 'times', 'stage and reply'), body)}" if body else ""
