"""What this machine lacks for the settings."""

import errno
import os
import pwd
import socket
import tempfile
from pathlib import Path

import pytest

from fastsmtp.process.machine import listener_problems, machine_problems
from fastsmtp.process.settings import default_settings
from tests.tools.root import root_only
from tests.unit.test_process_settings import load, small


def test_the_default_is_good(tmp_path: Path) -> None:
    assert machine_problems(default_settings(tmp_path)) == []
    assert list(tmp_path.iterdir()) == [], "nothing stays behind"


def test_the_user_must_exist(tmp_path: Path) -> None:
    settings = load(tmp_path, small('user = "no-such-user"'))
    assert machine_problems(settings) == [
        'user: there is no user "no-such-user"; make it (adduser --system --group no-such-user)'
    ]


def test_a_credential_that_the_service_does_not_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of accounts is read by the backend alone, that of routes for the tables too: each is told once."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "given"))
    (tmp_path / "given").mkdir()
    settings = load(
        tmp_path,
        small()
        + '[accounts.ldap]\nurl = "ldaps://x.test"\nbase = "dc=x"\npassword_file = "credential:ldap"\n'
        + '[credentials.a]\nuser = "u"\npassword_file = "credential:a"\n',
    )
    assert machine_problems(settings) == [
        f"{key}.password_file: cannot read {tmp_path}/given/{name}: No such file or directory; "
        f"LoadCredential={name}:FILE in the service's unit gives it"
        for key, name in (("accounts.ldap", "ldap"), ("credentials.a", "a"))
    ]
    for name in ("ldap", "a"):
        (tmp_path / "given" / name).write_text("secret\n")
    assert machine_problems(settings) == []


@root_only
def test_files_are_read_as_whoever_reads_them_later(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(place / "given"))
        (place / "given").mkdir(mode=0o700)
        for file in ("given/a", "b", "aliases"):
            (place / file).touch(mode=0o600)
            (place / file).write_text("secret: alice\n")
        settings = load(
            place,
            small('user = "nobody"\ndata_dir = "data"', 'path = "mail/{user}"')
            + '[credentials.a]\nuser = "u"\npassword_file = "credential:a"\n'
            + '[credentials.b]\nuser = "u"\npassword_file = "b"\n'
            + '[forwarding]\naliases_file = "aliases"\n',
        )
        assert machine_problems(settings) == [
            f"credentials.b.password_file: cannot read {place}/b: Permission denied "
            'to user "nobody"; chown or chmod it',
            f"{place}/aliases: cannot be read: Permission denied; the server's user has to be able to",
        ]
        for file in ("b", "aliases"):
            (place / file).chmod(0o644)
        assert machine_problems(settings) == []


def test_only_root_becomes_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(tmp_path, small('user = "root"\ndata_dir = "/"', 'path = "/{user}"'))
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    monkeypatch.setattr(os, "getgroups", list)
    monkeypatch.setattr(os, "getegid", lambda: 4711)
    assert 'user: only root can become "root"; start as root or as that user' in machine_problems(settings)


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> int:
    """The checks run as a user who owns nothing here."""
    uid = 4711
    assert os.stat("/").st_uid != uid
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(os, "getgroups", list)
    monkeypatch.setattr(os, "getegid", lambda: uid)
    return uid


def test_directories_that_cannot_be_written(tmp_path: Path, stranger: int) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "mail").mkdir(mode=0o755)
    settings = load(tmp_path, small('data_dir = "a/b"', 'path = "mail/x-{user}"'))
    assert machine_problems(settings) == [
        f"data_dir: {tmp_path}/a/b cannot be made, {tmp_path} is not writable for uid {stranger}; "
        "change its owner, or the setting",
        f"mailboxes.path: {tmp_path}/mail is not writable for uid {stranger}; "
        "change its owner, or the setting",
    ]


def test_directories_that_can_be_written(tmp_path: Path, stranger: int) -> None:
    tmp_path.chmod(0o777)
    settings = load(tmp_path, small('data_dir = "a/b"', 'path = "mail/{user}"'))
    assert machine_problems(settings) == []


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    settings = load(tmp_path, small('data_dir = "data/x"', 'path = "mail/{user}"'))
    assert machine_problems(settings) == [f"data_dir: {tmp_path}/data is no directory"]


@root_only
def test_root_looks_through_the_users_eyes() -> None:
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        settings = load(place, small('user = "nobody"\ndata_dir = "data"', 'path = "mail/{user}"'))
        (place / "data").mkdir(mode=0o700)
        (place / "mail").mkdir(mode=0o700)
        os.chown(place / "mail", nobody.pw_uid, nobody.pw_gid)
        (problem,) = machine_problems(settings)
        assert problem.startswith("data_dir: ")
        assert "for nobody" in problem
        (place / "data").rmdir()
        assert machine_problems(settings) == [], "root makes it and hands it over"
        place.chmod(0o700)
        (problem,) = machine_problems(settings)
        assert (
            problem
            == f"mailboxes.path: nothing can be made in {place}/mail: Permission denied; change the setting"
        )


def test_a_read_only_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class ReadOnly:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(os, "statvfs", lambda path: ReadOnly)
    settings = load(tmp_path, small('data_dir = "."', 'path = "{user}"'))
    assert machine_problems(settings) == [
        f"data_dir: {tmp_path} is on a read-only file system",
        f"mailboxes.path: {tmp_path} is on a read-only file system",
    ]


def test_a_file_system_that_takes_no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    settings = load(tmp_path, small('data_dir = "x"', 'path = "/proc/x/{user}"'))
    assert machine_problems(settings) == [
        f"data_dir: nothing can be made in {tmp_path}: No space left on device; change the setting",
        "mailboxes.path: nothing can be made in /proc: No space left on device; change the setting",
    ]


def test_below_proc_nothing_can_be_made(tmp_path: Path) -> None:
    settings = load(tmp_path, small('data_dir = "/proc/x"', 'path = "{user}"'))
    (problem,) = machine_problems(settings)
    assert problem.startswith("data_dir: ")
    assert "/proc" in problem


def test_an_address_of_another_machine(tmp_path: Path) -> None:
    settings = load(tmp_path, small().replace("127.0.0.1:2525", "192.0.2.1:2525"))
    problems, notes = listener_problems(settings)
    assert problems == [
        "listeners[0].address: cannot listen on 192.0.2.1:2525: not an address of this machine; "
        "correct the listener's address"
    ]
    assert notes == []


def test_a_port_in_use_is_only_a_note(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = load(tmp_path, small().replace("2525", str(port)))
        assert listener_problems(settings) == (
            [],
            [f"listeners[0].address: somebody listens on 127.0.0.1:{port} now"],
        )
    assert listener_problems(load(tmp_path, small().replace("2525", "0"))) == ([], [])
