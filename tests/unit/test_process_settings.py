"""The settings as a whole: the file's form, the default, and what contradicts itself or the machine."""

import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.config.errors import SettingsError
from fastsmtp.process.settings import cpu_count, default_settings, load_settings, machine_problems

ROOT = Path(__file__).resolve().parents[2]

WHOLE = """
hostname = "mx.example.org"
data_dir = "/var/lib/fastsmtp"
workers = 2
durability = "full"
accept = "reuseport"
user = "fastsmtp"
shutdown_grace = 10

[[listeners]]
address = "127.0.0.1:2525"
protocol = "smtp"

[mailboxes]
domains = ["example.org"]
path = "/var/mail/{domain}/{user}"
unknown_users = "reject"
users = ["alice", "bob"]
postmaster = "alice"
line_ending = "crlf"

[relay]
networks = ["127.0.0.0/8"]

[limits]
message_size = 52_428_800
recipients = 1000
errors = 20
connections = 10_000
connections_per_ip = 50
messages_per_ip_per_minute = 0
command_timeout = 300
"""

SMALL = """
hostname = "mx.example.org"
{top}
[[listeners]]
address = "127.0.0.1:2525"
[mailboxes]
domains = ["example.org"]
{mailboxes}
{tables}
"""


def load(tmp_path: Path, text: str) -> Any:
    file = tmp_path / "fastsmtp.toml"
    file.write_text(text)
    return load_settings(file)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    start = f"{tmp_path}/fastsmtp.toml: "
    assert all(problem.startswith(start) for problem in caught.value.problems)
    return [problem.removeprefix(start) for problem in caught.value.problems]


def small(top: str = "", mailboxes: str = "", tables: str = "") -> str:
    return SMALL.format(top=top, mailboxes=mailboxes, tables=tables)


def test_the_whole_form(tmp_path: Path) -> None:
    settings = load(tmp_path, WHOLE)
    assert settings.hostname == "mx.example.org"
    assert settings.data_dir == Path("/var/lib/fastsmtp")
    assert (settings.workers, settings.durability, settings.accept) == (2, "full", "reuseport")
    assert (settings.user, settings.shutdown_grace) == ("fastsmtp", 10)
    assert [(str(one.endpoint), one.protocol) for one in settings.listeners] == [("127.0.0.1:2525", "smtp")]
    assert settings.mailboxes.path == "/var/mail/{domain}/{user}"
    assert settings.mailboxes.users == ("alice", "bob")
    assert settings.relay.networks == ("127.0.0.0/8",)
    assert settings.limits.message_size == 52_428_800
    assert settings.limits.command_timeout == 300


def test_what_is_not_set_is_as_in_the_whole_form(tmp_path: Path) -> None:
    whole = load(tmp_path, WHOLE)
    settings = load(tmp_path, small())
    assert settings.workers == cpu_count() >= 1
    for name in ("data_dir", "durability", "accept", "shutdown_grace", "limits"):
        assert getattr(settings, name) == getattr(whole, name), name
    assert settings.mailboxes.path == whole.mailboxes.path
    assert settings.user is None


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    settings = load(tmp_path, small('data_dir = "data"', 'path = "mail/{user}"'))
    assert settings.data_dir == tmp_path / "data"
    assert settings.mailboxes.path == f"{tmp_path}/mail/{{user}}"


def test_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(None)
    assert settings == default_settings(tmp_path)
    assert [str(one.endpoint) for one in settings.listeners] == ["127.0.0.1:2525"]
    assert settings.data_dir == tmp_path / "var/data"
    assert settings.mailboxes.path == f"{tmp_path}/var/mail/{{domain}}/{{user}}"
    assert settings.mailboxes.domains == ("localhost",)
    assert settings.mailboxes.unknown_users == "create"
    assert settings.durability == "full"
    assert settings.limits.loopback_exempt
    assert settings.spool.reserve + settings.spool.ahead == 32 << 20, "what a first look costs on the disk"
    assert machine_problems(settings) == []


def test_the_sample_is_good() -> None:
    settings = load_settings(ROOT / "conf/fastsmtp.toml")
    assert settings.mailboxes.users == ("alice", "bob")


def test_what_a_session_gets(tmp_path: Path) -> None:
    settings = load(tmp_path, small("banner_delay = 0.5"))
    assert settings.session.hostname == "mx.example.org"
    assert settings.session.limits is settings.limits
    assert settings.session.banner_delay == 0.5


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (small("workers = 257"), "workers: expected int between 1 and 256, got 257"),
        (small("workers = 0"), "workers: expected int between 1 and 256, got 0"),
        (small('durability = "ful"'), 'durability: expected one of "full", "relaxed", "none", got "ful"'),
        (small('acept = "shared"'), 'acept: no such key; did you mean "accept"?'),
        (
            small(tables='[limits]\nconnections = "x"'),
            'limits.connections: expected int between 1 and 1_000_000, got "x"',
        ),
        (
            small(tables="[limits]\nworkers = 2"),
            "limits.workers: no such key; it belongs above the first [table]",
        ),
        (
            small(tables='[[listeners]]\naddress = "mx:25"'),
            'listeners[1].address: expected an IP address before the port, not a name, got "mx:25"',
        ),
        (
            small(tables='[[listeners]]\naddress = "[::1]:25"\nprotocol = "lmtp"'),
            'listeners[1].protocol: expected "smtp", got "lmtp"',
        ),
        (
            small(tables='[[listeners]]\naddress = "127.0.0.1:2525"'),
            "listeners[1].address: 127.0.0.1:2525 is that of listeners[0] too",
        ),
        (
            small(tables='[relay]\nnetworks = ["10.0.0.0/8", "10.1.0.0/8"]'),
            'relay.networks[1]: "10.1.0.0/8" has bits set beyond its prefix; did you mean "10.0.0.0/8"?',
        ),
        (
            small(mailboxes='users = ["bob"]\npostmaster = "alice"'),
            'mailboxes.postmaster: there is no user "alice" in example.org; name one of mailboxes.users',
        ),
        (
            small().replace("mx.example.org", "mx example"),
            'hostname: expected a host name such as "mx.example.org", got "mx example"',
        ),
        (small().replace('hostname = "mx.example.org"\n', ""), "hostname: missing; expected string"),
        (
            'hostname = "a"\nlisteners = []\n[mailboxes]\n',
            "listeners: expected at least one [[listeners]] table",
        ),
        (
            small(mailboxes='unknown_users = "create"', tables='[[listeners]]\naddress = "0.0.0.0:25"'),
            'mailboxes.unknown_users: "create" makes a mailbox for whoever is named and is for loopback only, '
            'but listeners[1] is 0.0.0.0:25; use "reject" and name the users',
        ),
    ],
)
def test_one_fault(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, text) == [problem]


def test_a_path_without_user(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, small(mailboxes='path = "/var/mail/{domain}"'))
    assert problem.startswith("mailboxes.path: ")
    assert "{user}" in problem


def test_a_database_with_no_room_beside_its_reserve(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, small(tables="[spool]\nmap_size = 16_777_216"))
    assert problem == (
        "spool.map_size: 16_777_216 is too little for spool.reserve = 67_108_864 and a commit of "
        "spool.pack_bytes = 4_194_304, no mail could be taken: make it at least 142_606_336, twice their sum, "
        "or lower spool.reserve"
    )
    assert load(tmp_path, small(tables="[spool]\nmap_size = 142_606_336"))


def test_port_0_may_stand_twice(tmp_path: Path) -> None:
    text = small(tables='[[listeners]]\naddress = "127.0.0.1:0"\n[[listeners]]\naddress = "127.0.0.1:0"')
    assert len(load(tmp_path, text).listeners) == 3


def test_a_missing_file() -> None:
    with pytest.raises(SettingsError, match=r"^/none\.toml: cannot be read"):
        load_settings(Path("/none.toml"))


def test_the_user_must_exist(tmp_path: Path) -> None:
    settings = load(tmp_path, small('user = "no-such-user"'))
    assert machine_problems(settings) == ['user: there is no user "no-such-user" on this machine']


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_root_looks_through_the_users_eyes(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    tmp_path.chmod(0o700)
    settings = load(tmp_path, small('user = "nobody"\ndata_dir = "data"', 'path = "mail/{user}"'))
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "mail").mkdir(mode=0o700)
    os.chown(tmp_path / "mail", nobody.pw_uid, nobody.pw_gid)
    (problem,) = machine_problems(settings)
    assert problem.startswith("data_dir: ")
    assert "for nobody" in problem
    (tmp_path / "data").rmdir()
    assert machine_problems(settings) == [], "root makes it and hands it over"


def test_a_read_only_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class ReadOnly:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(os, "statvfs", lambda path: ReadOnly)
    settings = load(tmp_path, small('data_dir = "."', 'path = "{user}"'))
    assert machine_problems(settings) == [
        f"data_dir: {tmp_path} is on a read-only file system",
        f"mailboxes.path: {tmp_path} is on a read-only file system",
    ]
