"""The figures of ``fastsmtp top`` as lines of a screen."""

import time
from collections.abc import Mapping, Sequence

from fastsmtp.cli.top_figures import Figures, SiteLine, Stage
from fastsmtp.config.values import Duration
from fastsmtp.mail.result import printable

_NAME = 22
_COLUMN = 11


def lines(shown: Figures, width: int, height: int) -> list[str]:
    """At most ``height`` lines of at most ``width`` characters: first what happens, then how long it takes, then the
    sites that mail waits for and the slowest ones, as far as there is room."""
    found = [*_summary(shown), "", *_stages(shown.stages), ""]
    room = height - len(found) - 1
    if shown.sites and room > 1:
        fullest = [site for site in shown.sites if site.waiting or site.in_flight or site.failing]
        slowest = sorted(shown.sites, key=lambda site: -site.seconds)
        half = room if not fullest else max(1, (room - 2) // 2)
        found += _table("waits for site", fullest, half)
        found += _table("slowest sites", slowest, room - min(len(fullest), half) - 2)
    return [line[:width].rstrip() for line in found[:height]]


def _summary(shown: Figures) -> list[str]:
    clock = time.strftime("%H:%M:%S", time.localtime(shown.at))
    drains = f" and {shown.draining} draining" if shown.draining else ""
    queue = "  ".join(f"{state} {count:,}" for state, count in shown.queue.items())
    found = [
        f"fastsmtp {shown.version}  {clock}  up {Duration(int(shown.uptime))}  "
        f"{shown.workers} worker{'' if shown.workers == 1 else 's'}{drains}  "
        f"cpu {shown.cpu:.2f}  memory {_size(shown.memory)}",
        f"sessions   {shown.sessions:,} open  {_rate(shown.connections)} new{_each('TLS', shown.handshakes)}"
        f"{_each('logins', shown.logins)}",
        f"taken in   {_rate(shown.messages)}  {_rate(shown.recipients)} recipients  {_size(shown.octets)}/s",
        f"refused    {_listed(shown.rejected)}",
        f"delivered  here: {_listed(shown.local)}   elsewhere: {_listed(shown.remote)}",
        f"queue      {queue}  under way {shown.outbound:,}",
    ]
    if shown.short:
        found.append(f"SHORT OF   {', '.join(shown.short)}: new mail is put off")
    if shown.lost:
        found.append(
            "LOST       " + ", ".join(f"{count:,} events of the {name}" for name, count in shown.lost.items())
        )
    if not shown.workers:
        found.append("NO WORKER SERVES")
    return found


def _stages(stages: Sequence[Stage]) -> list[str]:
    found = [f"{'how long it takes':{_NAME}}{'a second':>{_COLUMN}}{'p50':>{_COLUMN}}{'p99':>{_COLUMN}}"]
    for one in stages:
        times = f"{_time(one.p50):>{_COLUMN}}{_time(one.p99):>{_COLUMN}}"
        found.append(f"{one.name:{_NAME}}{one.rate:>{_COLUMN},.1f}{times}")
    return found


def _table(title: str, sites: Sequence[SiteLine], most: int) -> list[str]:
    if not sites or most < 1:
        return []
    long = max(_NAME, max(len(site.name) for site in sites[:most]) + 1)
    long = min(long, 40)
    head = f"{title:{long}}{'waiting':>{_COLUMN}}{'under way':>{_COLUMN}}{'attempt':>{_COLUMN}}"
    return [
        head,
        *(
            f"{printable(site.name, long - 1):{long}}{site.waiting:>{_COLUMN},}{site.in_flight:>{_COLUMN},}"
            f"{_time(site.seconds or None):>{_COLUMN}}{'  failing' if site.failing else ''}"
            for site in sites[:most]
        ),
    ]


def _each(title: str, rates: Mapping[str, float]) -> str:
    return f"  {title}: {_listed(rates)}" if rates else ""


def _listed(rates: Mapping[str, float]) -> str:
    if not rates:
        return "nothing"
    most = sorted(rates.items(), key=lambda entry: -entry[1])
    return "  ".join(f"{name} {_rate(rate)}" for name, rate in most)


def _rate(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 10 or not rate else f"{rate:.1f}/s"


def _size(octets: float) -> str:
    for unit in ("B", "KB", "MB"):
        if octets < 1000:
            return f"{octets:.0f} {unit}" if octets >= 10 or unit == "B" else f"{octets:.1f} {unit}"
        octets /= 1000
    return f"{octets:,.1f} GB"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:,.0f} min"
