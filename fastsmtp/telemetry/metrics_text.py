"""The metrics of all processes as text: the format of Prometheus (text/plain; version=0.0.4), and OpenMetrics 1.0.

Both have the same samples; OpenMetrics names a counter's family without ``_total``, says units, and has an end.
"""

from collections.abc import Iterable, Iterator, Sequence

import fastsmtp
from fastsmtp._core import COMPILED, cells
from fastsmtp.telemetry.metrics import BUILD, CELLS, METRICS, PLACES, SITES, STARTED, Metric, unit_of
from fastsmtp.telemetry.metrics_sites import SiteLoad, all_sites
from fastsmtp.telemetry.metrics_table import MetricTable

PLAIN_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_OPENMETRICS = "application/openmetrics-text"


def wants_openmetrics(accept: str) -> bool:
    """Whether the header field ``Accept`` of a request asks for OpenMetrics."""
    return _OPENMETRICS in accept.lower()


def content_type(*, openmetrics: bool) -> str:
    """What `render` gives."""
    return OPENMETRICS_TYPE if openmetrics else PLAIN_TYPE


def render(table: MetricTable, *, openmetrics: bool = False) -> bytes:
    """All metrics as they are now. Needs no answer of anybody."""
    sums = _merged([(row.values().tolist(), alive) for row, alive in table.rows()])
    lines: list[str] = []
    for metric in METRICS:
        _head(lines, metric.name, metric.kind, metric.help, openmetrics)
        at = PLACES[metric.name]
        for values in metric.series():
            lines += _samples(metric, _labels(metric, values), sums[at : at + metric.cells])
            at += metric.cells
    _sites(lines, all_sites(table), openmetrics)
    _about(lines, table, openmetrics)
    if openmetrics:
        lines.append("# EOF")
    lines.append("")
    return "\n".join(lines).encode()


def _merged(rows: Sequence[tuple[list[int], bool]]) -> list[int]:
    """What all processes have together: counters of all that ever were, gauges of those that are."""
    sums = [sum(column) for column in zip([0] * CELLS, *(values for values, _ in rows), strict=True)]
    living = [values for values, alive in rows if alive]
    for metric in METRICS:
        if metric.kind == "gauge":
            for at in range(PLACES[metric.name], PLACES[metric.name] + metric.size):
                sums[at] = _gauge(metric, [values[at] for values in living])
    return sums


def _gauge(metric: Metric, values: list[int]) -> int:
    if metric.merge == "sum":
        return sum(values)
    if metric.merge == "max":
        return max(values, default=0)
    return min((value for value in values if value), default=0)


def _head(lines: list[str], name: str, kind: str, words: str, openmetrics: bool) -> None:
    if openmetrics:
        lines.append(f"# TYPE {name} {kind}")
        if unit := unit_of(name):
            lines.append(f"# UNIT {name} {unit}")
    else:
        name = f"{name}_total" if kind == "counter" else name
        lines.append(f"# TYPE {name} {kind}")
    lines.append(f"# HELP {name} {words}")


def _labels(metric: Metric, values: Sequence[str]) -> str:
    return ",".join(f'{name}="{value}"' for (name, _), value in zip(metric.labels, values, strict=True))


def _samples(metric: Metric, labels: str, values: Sequence[int]) -> Iterator[str]:
    braced = f"{{{labels}}}" if labels else ""
    if metric.kind == "gauge":
        yield f"{metric.name}{braced} {values[0]}"
    elif metric.kind == "counter":
        value = values[0] if metric.per_unit == 1 else values[0] / metric.per_unit
        yield f"{metric.name}_total{braced} {value}"
    else:
        more = f"{labels}," if labels else ""
        count = 0
        for bound, many in zip((*metric.buckets, "+Inf"), values, strict=False):
            count += many
            yield f'{metric.name}_bucket{{{more}le="{bound}"}} {count}'
        yield f"{metric.name}_sum{braced} {values[-1] / cells.MICROS}"
        yield f"{metric.name}_count{braced} {count}"


def _sites(lines: list[str], sites: Iterable[SiteLoad], openmetrics: bool) -> None:
    named = [(_escaped(site.name), site) for site in sites]
    for metric in SITES:
        _head(lines, metric.name, "gauge", metric.help, openmetrics)
        lines += [f'{metric.name}{{site="{name}"}} {getattr(site, metric.field)}' for name, site in named]


def _about(lines: list[str], table: MetricTable, openmetrics: bool) -> None:
    core = "c" if COMPILED else "py"
    _head(lines, BUILD.name, "gauge", BUILD.help, openmetrics)
    lines.append(f'{BUILD.name}{{version="{fastsmtp.__version__}",core="{core}"}} 1')
    _head(lines, STARTED.name, "gauge", STARTED.help, openmetrics)
    lines.append(f"{STARTED.name} {table.started}")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
