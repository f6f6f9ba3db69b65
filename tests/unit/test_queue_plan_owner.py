"""Every worker knows the same owner of a site."""

import subprocess
import sys
from collections import Counter

import pytest

from fastsmtp.queue.plan.owner import owner_of

SITES = [f"mx{i}.example" for i in range(4000)]
KNOWN = [2, 2, 5, 4, 6, 5, 7, 0]


def test_the_order_of_the_slots_does_not_matter() -> None:
    assert all(owner_of(site, [0, 1, 2]) == owner_of(site, [2, 0, 1]) for site in SITES)


def test_known_answers() -> None:
    """These are the same in every version: workers of two versions may run side by side during a restart."""
    assert [owner_of(site, range(8)) for site in SITES[:8]] == KNOWN


def test_another_process_says_the_same() -> None:
    program = (
        "from fastsmtp.queue.plan.owner import owner_of\n"
        "print([owner_of(f'mx{i}.example', range(8)) for i in range(8)])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == str(KNOWN)


def test_the_sites_are_spread() -> None:
    for workers in (2, 5, 16):
        counts = Counter(owner_of(site, range(workers)) for site in SITES)
        fair = len(SITES) / workers
        assert set(counts) == set(range(workers))
        assert max(abs(count - fair) for count in counts.values()) < 0.25 * fair


def test_a_death_moves_only_the_sites_of_the_dead() -> None:
    before = {site: owner_of(site, range(5)) for site in SITES}
    after = {site: owner_of(site, [0, 1, 3, 4]) for site in SITES}
    moved = [site for site in SITES if before[site] != after[site]]
    assert {before[site] for site in moved} == {2}
    assert len(moved) == sum(owner == 2 for owner in before.values())
    heirs = Counter(after[site] for site in moved)
    assert min(heirs.values()) > len(moved) / 4 * 0.7, "its heirs share alike"


def test_names_of_any_kind() -> None:
    assert owner_of("", [3]) == 3
    assert owner_of("\udcff", [3]) == 3


def test_nobody_lives() -> None:
    with pytest.raises(ValueError, match="empty"):
        owner_of("mx.example", [])
