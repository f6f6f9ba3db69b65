"""Which sites are told of, and how those of several processes come together."""

import pytest

from fastsmtp.telemetry.metrics_sites import LONGEST, MOST, SiteLoad, all_sites, chosen, note_sites
from fastsmtp.telemetry.metrics_table import MetricTable


def load(
    name: str, waiting: int = 0, seconds: float = 0.0, *, in_flight: int = 0, failing: int = 0
) -> SiteLoad:
    return SiteLoad(name, waiting, in_flight, failing, seconds)


def test_the_fullest_and_the_slowest_are_told_of() -> None:
    full = [load(f"full-{n}", waiting=100 + n) for n in range(2 * MOST)]
    slow = [load(f"slow-{n}", seconds=10.0 + n) for n in range(2 * MOST)]
    rest = [load("idle"), load("few", waiting=1, seconds=0.1)]
    names = {site.name for site in chosen([*rest, *full, *slow])}
    assert names == {f"full-{n}" for n in range(MOST, 2 * MOST)} | {
        f"slow-{n}" for n in range(MOST, 2 * MOST)
    }


def test_a_site_where_nothing_happens_is_not_told_of() -> None:
    assert chosen([load("idle")]) == []
    assert [one.name for one in chosen([load("idle"), load("paused", failing=1)])] == ["paused"]


def test_the_longest_names_of_all_fit() -> None:
    sites = [
        load("\U0001f600" * 250 + str(n), waiting=2**60, in_flight=2**60, seconds=1.5) for n in range(100)
    ]
    table = MetricTable(0.0)
    note_sites(table.claim(), sites)
    assert [site.name for site in all_sites(table)] == ["\U0001f600" * LONGEST]


def test_what_several_processes_have_for_a_site_is_added() -> None:
    table = MetricTable(0.0)
    note_sites(table.claim(), [load("a", 5, 0.5, in_flight=1), load("b", 7)])
    note_sites(table.claim(), [load("a", 3, 0.25, in_flight=2, failing=1)])
    found = {site.name: site for site in all_sites(table)}
    assert found["a"] == load("a", 8, 0.5, in_flight=3, failing=1)
    assert found["b"] == load("b", 7)
    assert [site.name for site in all_sites(table)] == ["a", "b"]


@pytest.mark.parametrize("processes", [1, 3])
def test_no_more_than_that_are_shown_of_all(processes: int) -> None:
    table = MetricTable(0.0)
    for number in range(processes):
        note_sites(table.claim(), [load(f"{number}-{n}", n + 1, n + 1.0) for n in range(100)])
    assert len(all_sites(table)) <= 2 * MOST
