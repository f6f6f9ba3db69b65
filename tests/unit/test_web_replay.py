"""Records of requests: kept, locked, forgotten."""

import os
from pathlib import Path

import pytest

from fastsmtp.web.replay import KEPT, KEYS, Busy, Past, Record, record_name, sweep, write_named


def test_a_record_from_its_begin_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / KEYS / "a"
    path.parent.mkdir(parents=True)
    first = Record(path, lambda: 1000.0)
    assert (first.past, first.named) == (None, b"")
    first.begin(b"digest")
    with pytest.raises(Busy):
        Record(path)
    write_named(tmp_path, "a", b"outcome")
    first.close()
    second = Record(path, lambda: 1001.0)
    assert (second.past, second.named) == (Past(b"digest", 1000.0), b"outcome")
    second.end(b"digest", 202, b"{}")
    second.close()
    third = Record(path, lambda: 1001.0)
    assert (third.past, third.named) == (Past(b"digest", 1001.0, 202, b"{}"), b"")
    third.forget()
    third.close()
    assert list(path.parent.iterdir()) == []


def test_old_and_damaged_records_are_none(tmp_path: Path) -> None:
    record = Record(tmp_path / "a", lambda: 1000.0)
    record.end(b"digest", 202, b"x" * 1000)
    record.end(b"digest", 202, b"{}")  # shorter than before
    record.close()
    late = Record(tmp_path / "a", lambda: 1000.0 + KEPT)
    assert late.past is None
    late.close()
    (tmp_path / "a").write_bytes(b"\xff")
    damaged = Record(tmp_path / "a", lambda: 1000.0)
    assert damaged.past is None
    damaged.close()


def test_a_record_that_was_removed_is_not_locked_in_its_place(tmp_path: Path) -> None:
    first = Record(tmp_path / "a")
    first.forget()
    second = Record(tmp_path / "a")
    with pytest.raises(Busy):
        Record(tmp_path / "a")
    first.close()
    second.close()


def test_names_and_sweeping(tmp_path: Path) -> None:
    names = {record_name(user, key) for user in ("token a", "account a") for key in ("1", "2")}
    assert len(names) == 4
    assert all(len(name) == 64 for name in names)
    for name in ("old", "new"):
        (tmp_path / name).touch()
    os.utime(tmp_path / "old", (0, 0))
    sweep(tmp_path, KEPT + 1)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    sweep(tmp_path / "nowhere", 0.0)
