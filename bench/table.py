"""The Markdown table of a comparison: medians, and their ratios to smtp-sink (S) and Postfix (P)."""

from typing import Any

UNITS = {
    "messages_per_s": ("messages/s", "{:,.0f}"),
    "megabytes_per_s": ("MB/s", "{:,.0f}"),
    "bytes_per_connection": ("bytes a connection", "{:,.0f}"),
    "growth_mb": ("MB", "{:,.1f}"),
    "noop_p99_ms": ("ms, p99", "{:,.1f}"),
    "relayed_ratio_queued": ("of its speed with an empty queue", "{:.2f}"),
    "ratio_to_alone": ("of its speed without them", "{:.2f}"),
    "ratio_to_empty": ("of its empty-spool speed", "{:.2f}"),
}


def markdown(report: dict[str, Any]) -> str:
    """The table with the facts below it that make it readable on its own."""
    lines = [
        "| | | fastsmtp | smtp-sink (S) | Postfix (P) | fastsmtp / S | fastsmtp / P |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for scenario in report["scenarios"].values():
        unit, form = UNITS[scenario["figure"]]
        values = {name: result["median"][scenario["figure"]] for name, result in scenario["servers"].items()}
        cells = [scenario["title"], unit]
        cells += [
            form.format(values[n]) if n in values else "–" for n in ("fastsmtp", "smtp-sink", "postfix")
        ]
        cells += [_ratio(values, "smtp-sink"), _ratio(values, "postfix")]
        lines.append("| " + " | ".join(cells) + " |")
    facts = report["machine"]
    lines += [
        "",
        f"Medians of {report['rounds']} rounds, servers visited in turn; server and load generator share "
        f"{facts['cores']} cores ({facts['cpu']}, {facts['memory']}, {facts['kernel']}, "
        f"{facts['filesystem']}). "
        + "; ".join(f"{s['version']}: {s['durability']}" for s in report["servers"].values())
        + f". {report['date'][:10]}, `{report['command']}`.",
    ]
    return "\n".join(lines)


def _ratio(values: dict[str, float], other: str) -> str:
    if "fastsmtp" not in values or not values.get(other):
        return "–"
    return f"{values['fastsmtp'] / values[other]:.2f}"
