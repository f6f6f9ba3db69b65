"""Who we are, what we may open, what we make for whom."""

import os
import pwd
import resource
from pathlib import Path

import pytest

from fastsmtp.process.errors import StartError
from fastsmtp.process.privileges import (
    Identity,
    end_with_parent,
    find_user,
    give,
    make_directory,
    raise_file_limit,
)


def test_no_user_means_no_change() -> None:
    assert find_user(None) is None
    assert find_user(pwd.getpwuid(os.geteuid()).pw_name) is None


def test_an_unknown_user_is_named() -> None:
    with pytest.raises(StartError, match='there is no user "nobody-here"') as refused:
        find_user("nobody-here")
    assert refused.value.code == os.EX_NOUSER


def test_only_root_can_become_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    other = pwd.getpwnam("nobody")
    monkeypatch.setattr(os, "geteuid", lambda: other.pw_uid + 1)
    with pytest.raises(StartError, match="only root can become") as refused:
        find_user("nobody")
    assert refused.value.code == os.EX_NOPERM
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert find_user("nobody") == Identity("nobody", other.pw_uid, other.pw_gid)


def test_new_directories_are_given_away_and_old_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Path, int, int]] = []
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: given.append((path, uid, gid)))
    make_directory(tmp_path / "a" / "b", "data_dir", Identity("mail", 8, 9))
    assert given == [(tmp_path / "a", 8, 9), (tmp_path / "a" / "b", 8, 9)]
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    make_directory(tmp_path / "a" / "b", "data_dir", Identity("mail", 8, 9))
    assert len(given) == 2
    give(tmp_path / "a", None)
    assert len(given) == 2


def test_a_directory_that_cannot_be_made_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="data_dir: cannot make ") as refused:
        make_directory(tmp_path / "file" / "x", "data_dir", None)
    assert refused.value.code == os.EX_CANTCREAT


def test_file_limit_is_the_hard_one() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        assert raise_file_limit() == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_child_sees_whether_its_parent_is_still_there() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0 if end_with_parent(os.getppid()) and not end_with_parent(-1) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
