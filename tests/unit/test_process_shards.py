"""Which shards of the spool a generation takes."""

import fcntl
from pathlib import Path

from fastsmtp.process.shards import existing_shards, fresh_shards, new_shards, remove_shard


def test_shards_are_directories_whose_names_are_numbers(tmp_path: Path) -> None:
    assert existing_shards(tmp_path / "spool") == []
    for name in ("0", "1", "10", "2", "x", "3.old"):
        (tmp_path / "spool" / name).mkdir(parents=True)
    assert existing_shards(tmp_path / "spool") == [0, 1, 2, 10]


def test_those_that_are_nobodys_are_used_again() -> None:
    assert fresh_shards(2, [0, 1, 2, 3], {2, 3}, []) == ([0, 1], [])
    assert fresh_shards(2, [0, 1, 2, 3], {0, 2, 3}, []) == ([1, 4], [])


def test_new_ones_are_made_for_three_generations() -> None:
    assert fresh_shards(2, [0, 1], {0, 1}, []) == ([2, 3], [])
    assert fresh_shards(2, range(4), set(range(4)), [0, 1]) == ([4, 5], [])


def test_then_those_that_were_adopted_are_wanted_back() -> None:
    assert fresh_shards(2, range(6), set(range(6)), [0, 1, 2]) == ([], [0, 1])
    assert fresh_shards(2, range(6), {0, 1, 2, 3, 5}, [0, 1]) == ([4], [0])
    # Those of generations that still have sessions cannot be.
    assert fresh_shards(2, range(6), set(range(6)), [0]) == ([6, 7], [])


def test_fewer_workers_than_before() -> None:
    assert fresh_shards(1, range(3), set(range(3)), []) == ([3], [])


def test_shards_that_are_made_and_not_there_yet_are_taken() -> None:
    assert fresh_shards(1, [0], {0, 1}, []) == ([2], [])


def test_a_number_is_new_when_there_is_nothing_of_it() -> None:
    assert new_shards(2, {0, 2}) == [1, 3]
    assert new_shards(0, {0}) == []


def shard(directory: Path) -> Path:
    """One as a spool leaves it."""
    path = directory / "7"
    for name in ("body", "corrupt"):
        (path / name).mkdir(parents=True)
    for name in ("lock", "journal", "data.mdb", "lock.mdb", "clock"):
        (path / name).write_text("")
    return path


def test_an_empty_shard_is_removed(tmp_path: Path) -> None:
    path = shard(tmp_path)
    assert remove_shard(path)
    assert not path.exists()
    assert not remove_shard(path)


def test_what_was_set_aside_keeps_a_shard(tmp_path: Path) -> None:
    path = shard(tmp_path)
    (path / "corrupt" / "x.eml").write_text("mail")
    assert not remove_shard(path)
    assert (path / "data.mdb").exists()


def test_what_nobody_knows_keeps_a_shard(tmp_path: Path) -> None:
    path = shard(tmp_path)
    (path / "notes").write_text("")
    assert not remove_shard(path)
    assert (path / "journal").exists()


def test_a_shard_that_somebody_has_stays(tmp_path: Path) -> None:
    path = shard(tmp_path)
    with (path / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not remove_shard(path)
    assert (path / "journal").exists()
