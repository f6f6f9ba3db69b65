"""Maildirs: made on demand, and known again."""

import os
from pathlib import Path

import pytest

from fastsmtp.mailbox.maildir import file_name, host_part, open_maildir


def test_file_names() -> None:
    assert file_name(1700000000.9, "0AbC", 3, "mx.example.org", 42) == b"1700000000.0AbCR3.mx.example.org,S=42"
    assert host_part("a/b:c") == "a\\057b\\072c"


def test_a_maildir_is_made_with_all_its_way(tmp_path: Path) -> None:
    path = tmp_path / "d" / "u"
    for sync in (True, False):
        maildir = open_maildir(os.fsencode(path), "u@d", sync=sync)
        assert maildir.current()
        maildir.close()
    assert sorted(p.name for p in path.iterdir()) == ["cur", "new", "tmp"]
    assert {p.stat().st_mode & 0o777 for p in (path.parent, path, *path.iterdir())} == {0o700}


def test_without_create_a_missing_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_maildir(os.fsencode(tmp_path / "u"), create=False)
    (tmp_path / "u").mkdir()
    with pytest.raises(FileNotFoundError):
        open_maildir(os.fsencode(tmp_path / "u"), create=False)


def test_a_link_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "u").mkdir()
    (tmp_path / "u" / "tmp").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="tmp"):
        open_maildir(os.fsencode(tmp_path / "u"))


def test_a_moved_or_removed_mailbox_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "u"
    maildir = open_maildir(os.fsencode(path))
    path.rename(tmp_path / "old")
    assert not maildir.current()
    path.mkdir()
    assert not maildir.current()
    maildir.close()


@pytest.mark.parametrize("folder", ["tmp", "new"])
def test_a_folder_that_was_replaced_is_noticed(tmp_path: Path, folder: str) -> None:
    path = tmp_path / "u"
    maildir = open_maildir(os.fsencode(path))
    assert maildir.current()
    (path / folder).rename(tmp_path / "old")
    assert not maildir.current()
    (path / folder).mkdir()
    assert not maildir.current()
    (path / folder).rmdir()
    (path / folder).symlink_to(tmp_path / "old")
    assert not maildir.current()
    maildir.close()
