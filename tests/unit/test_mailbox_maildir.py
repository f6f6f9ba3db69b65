"""Maildirs: made on demand, and known again."""

import contextlib
import os
import shutil
import threading
from pathlib import Path

import pytest

from fastsmtp._core import fsio
from fastsmtp.mailbox.maildir import Maildir, file_name, host_part, open_maildir


def opened(path: Path, mailbox: str = "", **options: bool) -> Maildir:
    """The Maildir, whose root of all mailboxes is two above it when it is that deep, else one."""
    root = path.parent.parent if path.parent.name == "d" else path.parent
    return open_maildir(os.fsencode(path), os.fsencode(root), mailbox, **options)


def test_file_names() -> None:
    assert file_name(1700000000.9, "0AbC", 3, "mx.example.org", 42) == b"1700000000.0AbCR3.mx.example.org,S=42"
    assert host_part("a/b:c") == "a\\057b\\072c"


def test_a_maildir_is_made_with_all_its_way(tmp_path: Path) -> None:
    path = tmp_path / "d" / "u"
    for sync in (True, False):
        maildir = opened(path, "u@d", sync=sync)
        assert maildir.current()
        maildir.close()
    assert sorted(p.name for p in path.iterdir()) == ["cur", "new", "tmp"]
    assert {p.stat().st_mode & 0o777 for p in (path.parent, path, *path.iterdir())} == {0o700}


def test_without_create_a_missing_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "u", create=False)
    (tmp_path / "u").mkdir()
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "u", create=False)


@pytest.mark.parametrize("place", ["d", "d/u", "d/u/tmp", "d/u/new"])
@pytest.mark.parametrize("create", [True, False])
def test_no_link_below_the_root_is_followed(tmp_path: Path, place: str, create: bool) -> None:
    opened(tmp_path / "elsewhere" / "d" / "u").close()
    opened(tmp_path / "root" / "d" / "u").close()
    shutil.rmtree(tmp_path / "root" / place)
    (tmp_path / "root" / place).symlink_to(tmp_path / "elsewhere" / place)
    with pytest.raises(OSError, match="is a symbolic link") as caught:
        opened(tmp_path / "root" / "d" / "u", create=create)
    assert os.fsencode(tmp_path / "root" / place).endswith(caught.value.filename)


def test_a_link_to_nowhere_makes_nothing(tmp_path: Path) -> None:
    (tmp_path / "root" / "d").mkdir(parents=True)
    (tmp_path / "root" / "d" / "u").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match="is a symbolic link"):
        opened(tmp_path / "root" / "d" / "u")
    assert not (tmp_path / "nowhere").exists()


def test_links_above_the_root_are_the_administrators(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "disk")
    opened(tmp_path / "root" / "d" / "u").close()
    assert (tmp_path / "disk" / "d" / "u" / "new").is_dir()


def test_a_missing_root_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "d" / "u"
    opened(path).close()
    assert (path / "new").is_dir()


def test_a_mailbox_that_turns_into_a_link_and_back_while_it_is_opened(tmp_path: Path) -> None:
    opened(tmp_path / "u").close()
    (tmp_path / "precious").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    done = threading.Event()

    def turn() -> None:
        while not done.is_set():
            (tmp_path / "u").rename(tmp_path / "aside")
            (tmp_path / "link").rename(tmp_path / "u")
            (tmp_path / "u").rename(tmp_path / "link")
            (tmp_path / "aside").rename(tmp_path / "u")

    attacker = threading.Thread(target=turn)
    attacker.start()
    try:
        for _ in range(500):
            with contextlib.suppress(OSError):
                opened(tmp_path / "u", create=False).close()
    finally:
        done.set()
        attacker.join()
    assert list((tmp_path / "precious").iterdir()) == []


@pytest.mark.parametrize("what", ["u", "u/tmp"])
def test_a_link_put_there_between_check_and_use_leads_nowhere(tmp_path: Path, what: str) -> None:
    """The mailbox is open; then its owner moves a directory away and puts a link in its place."""
    maildir = opened(tmp_path / "u")
    (tmp_path / "precious" / "tmp").mkdir(parents=True)
    (tmp_path / what).rename(tmp_path / "away")
    (tmp_path / what).symlink_to(tmp_path / "precious")
    assert not maildir.current()
    assert fsio.write_files(b"x", [(maildir.tmp, b"1.mail", maildir.new, 0, 1)]) == [0]
    assert [path.name for path in (tmp_path / "precious").rglob("*")] == ["tmp"]
    maildir.close()


def test_a_moved_or_removed_mailbox_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "u"
    maildir = opened(path)
    path.rename(tmp_path / "old")
    assert not maildir.current()
    path.mkdir()
    assert not maildir.current()
    maildir.close()


@pytest.mark.parametrize("folder", ["tmp", "new"])
def test_a_folder_that_was_replaced_is_noticed(tmp_path: Path, folder: str) -> None:
    path = tmp_path / "u"
    maildir = opened(path)
    assert maildir.current()
    (path / folder).rename(tmp_path / "old")
    assert not maildir.current()
    (path / folder).mkdir()
    assert not maildir.current()
    (path / folder).rmdir()
    (path / folder).symlink_to(tmp_path / "old")
    assert not maildir.current()
    maildir.close()


def test_a_relative_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_maildir(b"u", b".").close()
    assert (tmp_path / "u" / "new").is_dir()
