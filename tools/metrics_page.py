"""The page docs/metrics.md, whose tables are made from the declarations in fastsmtp/telemetry/metrics.py."""

from collections.abc import Iterable

from fastsmtp.telemetry.metrics import BUILD, METRICS, SITES, STARTED
from fastsmtp.telemetry.metrics_sites import LONGEST, MOST

_HEAD = f"""\
# Metrics

What the server counts, of all its processes together. This page is made from the declarations by `make docs`.

| to see it | |
|---|---|
| `fastsmtp top` | rates, how long each stage takes, queue, fullest and slowest sites; `--once`, `--json` |
| `fastsmtp metrics` | all of it as text, by the control socket, without HTTP; `--openmetrics`, `--json` |
| `http://…/metrics` | the same for Prometheus, where `http.address` is set |
| `http://…/livez`, `/readyz` | 200, or 503 with the reasons: whether a worker's loop turns; whether mail is taken |

Both formats have the same samples: that of Prometheus (`text/plain; version=0.0.4`), and OpenMetrics 1.0 for who asks
for it by `Accept`. In OpenMetrics the family of a counter is named without `_total`.

```yaml
# prometheus.yml
scrape_configs:
  - job_name: fastsmtp
    static_configs: [{{targets: ["mx.example.org:9090"]}}]
rule_files: ["/etc/prometheus/fastsmtp-alerts.yml"]
```

[conf/prometheus/alerts.yml](../conf/prometheus/alerts.yml) has rules for what somebody must look at,
[conf/grafana/fastsmtp.json](../conf/grafana/fastsmtp.json) a dashboard. What `top` calls the event loop's lateness is
what everybody waits whatever he asks for; it stays below a few milliseconds while a worker has CPU to spare.

## How they are counted

Each process has a row of memory that the master has mapped before the first fork, and adds to it where something
happens: one atomic addition, 0.02 µs, and 0.05 µs for a time. Whoever asks for the metrics adds the rows. The kernel
knows which rows have a process: counters of one that has died stay and its successor goes on with them, so that they
never go down while the master lives; its gauges are gone. A master that follows in an upgrade goes on in the same
memory, unless its version counts other things: then, as after a restart, it begins with 0, which `rate()` and
`increase()` bear.

Nothing that a client or another host says makes a series: all values of labels are known beforehand, but those of
`site`. Each worker tells of the {MOST} sites that most waits for and the {MOST} slowest, every 5 seconds, by the
first {LONGEST} characters of their names; of all workers together as many are shown.
"""


def page() -> str:
    """The page."""
    parts = [_HEAD, "## Counters, gauges and histograms\n"]
    rows = [
        (
            f"`{metric.name}{'_total' if metric.kind == 'counter' else ''}`",
            metric.kind,
            "; ".join(f"`{name}`: {', '.join(values)}" for name, values in metric.labels),
            metric.help,
        )
        for metric in METRICS
    ]
    rows += [
        (f"`{one.name}`", "gauge", ", ".join(f"`{label}`" for label in one.labels), one.help)
        for one in (*SITES, BUILD, STARTED)
    ]
    parts.append(_table(("metric", "kind", "labels", "what it is"), rows))
    parts.append("## Upper bounds of the histograms\n")
    bounds: dict[tuple[float, ...], list[str]] = {}
    for metric in METRICS:
        if metric.buckets:
            bounds.setdefault(metric.buckets, []).append(f"`{metric.name}`")
    parts.append(
        _table(
            ("metrics", "bounds"),
            (
                (", ".join(names), ", ".join(f"{bound:g}" for bound in found))
                for found, names in bounds.items()
            ),
        )
    )
    return "\n".join(parts)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
