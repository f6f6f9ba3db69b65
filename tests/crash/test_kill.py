"""kill -9 of a worker, of the master alone and of all at once, again and again under load, while a reader
moves mail from new/ to cur/ and deletes some: every message answered 250 arrives exactly once, byte for byte,
and nothing is left in tmp/ or in the spool."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tools.ordeal import Ordeal
from tests.tools.site import Site

pytestmark = pytest.mark.slow


@pytest.fixture
def ordeal(tmp_path: Path) -> Iterator[Ordeal]:
    ordeal = Ordeal(Site(tmp_path, workers=2))
    try:
        yield ordeal
    finally:
        ordeal.abandon()


def test_worker(ordeal: Ordeal) -> None:
    """In turn, so that each is started again after a pause that stays short."""
    ordeal.begin()
    for number in range(8):
        ordeal.progress(random.Random(number).randint(20, 150))
        ordeal.server.kill_worker(number)
    ordeal.progress(50)
    assert ordeal.server.runs, "the master outlives its workers"
    assert ordeal.end() > 300


def test_master_alone(ordeal: Ordeal) -> None:
    ordeal.begin()
    for number in range(6):
        ordeal.progress(random.Random(number).randint(20, 200))
        ordeal.server.kill_master_only()
        ordeal.server.start()
    ordeal.progress(50)
    assert ordeal.end() > 300


def test_whole_group(ordeal: Ordeal) -> None:
    ordeal.begin()
    for number in range(8):
        ordeal.progress(random.Random(number).randint(20, 200))
        ordeal.server.kill_all()
        ordeal.server.start()
    ordeal.progress(50)
    assert ordeal.end() > 400


@pytest.mark.parametrize(
    "settings",
    [
        {"accept": "shared", "mailboxes": {"share_files": True}},
        {"durability": "none", "workers": 1},
        {"durability": "relaxed", "spool": {"inline_limit": 0}},
        {"spool": {"inline_limit": 1 << 20, "pack_messages": 3}, "workers": 3},
        {"spool": {"journal": 1 << 20, "inline_limit": 16384}, "workers": 1},
    ],
    ids=["shared files", "no durability", "all bodies in files", "all bodies in packs", "a small journal"],
)
def test_whole_group_with_other_settings(tmp_path: Path, settings: dict[str, Any]) -> None:
    """Whatever the settings say, the death of all processes takes nothing."""
    ordeal = Ordeal(Site(tmp_path, **{"workers": 2, **settings}), seed=4)
    try:
        ordeal.begin()
        for number in range(4):
            ordeal.progress(random.Random(number).randint(20, 150))
            ordeal.server.kill_all()
            ordeal.server.start()
        ordeal.progress(30)
        assert ordeal.end() > 150
    finally:
        ordeal.abandon()


def test_whole_group_while_mailboxes_fail(ordeal: Ordeal) -> None:
    """What one recipient cannot get yet is kept, written anew, and still arrives exactly once."""
    domain = ordeal.server.mail / "example.org"
    domain.mkdir(parents=True)
    walls = [domain / "bob", domain / "carol"]
    for wall in walls:
        wall.write_text("a file where a Maildir should be")
    ordeal.begin()
    for number in range(6):
        ordeal.progress(random.Random(number).randint(20, 150))
        ordeal.server.kill_all()
        if number in (2, 4):
            walls.pop().unlink()
        ordeal.server.start()
    ordeal.progress(30)
    ordeal.load.stop()
    ordeal.server.kill_all()
    ordeal.server.start()
    assert ordeal.end() > 250


def test_all_again_at_once_after_the_start(ordeal: Ordeal) -> None:
    """Recovery itself is killed: the next start comes before the last one has done its work."""
    ordeal.begin()
    for number in range(10):
        ordeal.progress(random.Random(number).randint(20, 100))
        ordeal.server.kill_all()
        ordeal.server.start(wait=number % 2 == 0)
        if number % 2:
            ordeal.server.kill_all()
            ordeal.server.start()
    assert ordeal.end() > 300


def test_fewer_workers_after_the_crash(ordeal: Ordeal) -> None:
    """What a slot without a worker holds is adopted by the others."""
    ordeal.begin()
    for workers in (1, 2, 1):
        ordeal.progress(150)
        ordeal.server.kill_all()
        ordeal.server.settings["workers"] = workers
        ordeal.server.start()
    ordeal.progress(20)
    assert ordeal.end() > 300


def test_large_messages_only(tmp_path: Path) -> None:
    ordeal = Ordeal(Site(tmp_path, workers=2), large=300_000, large_every=1, seed=9)
    try:
        ordeal.begin()
        for number in range(6):
            ordeal.progress(random.Random(number).randint(10, 40))
            if number % 2:
                ordeal.server.kill_all()
                ordeal.server.start()
            else:
                ordeal.server.kill_worker(number)
        assert ordeal.end() > 60
    finally:
        ordeal.abandon()
