"""What a process tells of the sites that it delivers to: of the fullest and the slowest, in the note of its row."""

from collections.abc import Iterable
from heapq import nlargest

import msgspec

from fastsmtp.telemetry.metrics_table import MetricTable, Row

MOST = 20
"""Sites by how much waits, and as many by how slow they are."""
LONGEST = 64
"""Characters of a site's name."""


class SiteLoad(msgspec.Struct, array_like=True):
    """One site. ``seconds``: how long its last deliveries took on average; ``failing``: 1 while it takes no mail."""

    name: str
    waiting: int
    in_flight: int
    failing: int
    seconds: float


def note_sites(row: Row, sites: Iterable[SiteLoad]) -> None:
    """Tell of those of ``sites`` that matter most."""
    row.write_note(msgspec.msgpack.encode(chosen(sites)))


def chosen(sites: Iterable[SiteLoad]) -> list[SiteLoad]:
    """Those that matter most, named as briefly as there is room for."""
    known = [site for site in sites if site.waiting or site.in_flight or site.seconds or site.failing]
    found = {
        site.name: site for site in nlargest(MOST, known, key=lambda site: site.waiting + site.in_flight)
    }
    found.update((site.name, site) for site in nlargest(MOST, known, key=lambda site: site.seconds))
    return [msgspec.structs.replace(site, name=site.name[:LONGEST]) for site in found.values()]


def all_sites(table: MetricTable) -> list[SiteLoad]:
    """Those of all processes together, the fullest first, `MOST` by each measure. A site that some of them have among
    their fullest and others have not counts by what is told."""
    found: dict[str, SiteLoad] = {}
    for row, alive in table.rows():
        note = row.read_note() if alive else b""
        for site in _sites(note):
            known = found.get(site.name)
            if known is None:
                found[site.name] = site
            else:
                known.waiting += site.waiting
                known.in_flight += site.in_flight
                known.failing = max(known.failing, site.failing)
                known.seconds = max(known.seconds, site.seconds)
    return sorted(chosen(found.values()), key=lambda site: (-site.waiting, site.name))


def _sites(note: bytes) -> list[SiteLoad]:
    if not note:
        return []
    return msgspec.msgpack.decode(note, type=list[SiteLoad])
