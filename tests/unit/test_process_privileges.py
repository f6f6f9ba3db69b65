"""Who we are, what we may open, what we make for whom."""

import os
import pwd
import resource
import tempfile
from pathlib import Path

import pytest

from fastsmtp.process import privileges
from fastsmtp.process.errors import StartError
from fastsmtp.process.privileges import (
    Identity,
    acting_as,
    confine,
    end_with_parent,
    find_user,
    give,
    make_directory,
    raise_file_limit,
)
from tests.tools.root import root_only

NOBODY = Identity("nobody", pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)


def owner(path: Path) -> int:
    """The user it belongs to."""
    return path.stat().st_uid


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


@root_only
def test_new_directories_are_given_away_and_old_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir(mode=0o755)
    for _ in range(2):
        make_directory(tmp_path / "old" / "a" / "b", "data_dir", NOBODY)
        assert owner(tmp_path / "old") == 0
        assert owner(tmp_path / "old" / "a") == owner(tmp_path / "old" / "a" / "b") == NOBODY.uid
        assert (tmp_path / "old" / "a" / "b").stat().st_mode & 0o777 == 0o700
    give(tmp_path / "old", None)
    assert owner(tmp_path / "old") == 0


@root_only
def test_a_directory_is_given_away_after_those_within(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Path] = []
    monkeypatch.setattr(privileges, "give", lambda directory, identity: given.append(directory))
    make_directory(tmp_path / "a" / "b", "data_dir", NOBODY)
    assert given == [tmp_path / "a" / "b", tmp_path / "a"]


@root_only
def test_a_link_is_not_given_away_with_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="link"):
        give(tmp_path / "link", NOBODY)
    assert owner(tmp_path / "precious") == 0


@root_only
def test_root_makes_nothing_where_the_user_could_have_put_a_link() -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        for folder in ("precious", "theirs"):
            (place / folder).mkdir(mode=0o755)
        os.chown(place / "theirs", NOBODY.uid, NOBODY.gid)
        make_directory(place / "theirs" / "good", "data_dir", NOBODY)
        assert owner(place / "theirs" / "good") == NOBODY.uid
        (place / "theirs" / "link").symlink_to(place / "precious")
        with pytest.raises(StartError, match="cannot make"):
            make_directory(place / "theirs" / "link" / "x", "data_dir", NOBODY)
        assert list((place / "precious").iterdir()) == []


@root_only
def test_acting_as_somebody_ends(tmp_path: Path) -> None:
    before = os.getresuid(), os.getresgid(), os.getgroups()
    with acting_as(NOBODY):
        assert (os.geteuid(), os.getegid()) == (NOBODY.uid, NOBODY.gid)
        with pytest.raises(PermissionError):
            (tmp_path / "x").write_text("")
    assert (os.getresuid(), os.getresgid(), os.getgroups()) == before


def test_a_confined_process_gains_and_gives_nothing() -> None:
    identity = NOBODY if os.geteuid() == 0 else None
    pid = os.fork()
    if pid == 0:
        confine(identity)
        status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
        good = status["NoNewPrivs"] == "1" and status["Umask"] == "0077"
        if identity is not None:
            good &= set(status["Uid"].split()) == {str(identity.uid)}
            good &= set(status["Gid"].split()) == {str(identity.gid)}
            good &= set(status["Groups"].split()) == {str(identity.gid)}
            good &= int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
            # What cannot be dumped belongs to root.
            good &= Path("/proc/self/mem").stat().st_uid == 0
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


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
