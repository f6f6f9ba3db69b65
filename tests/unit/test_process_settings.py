"""The settings as a whole: the file's form, the default, and what contradicts itself."""

from pathlib import Path
from typing import Any

import pytest

from fastsmtp.config.errors import SettingsError
from fastsmtp.process.settings import (
    cpu_count,
    default_settings,
    load_settings,
    mailbox_root,
    names_of,
)

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
    more = '[outbound]\nca_file = "authorities.pem"\n'
    settings = load(tmp_path, small('data_dir = "data"', 'path = "mail/{user}"') + more)
    assert settings.outbound.ca_file == str(tmp_path / "authorities.pem")
    assert load(tmp_path, small()).outbound.ca_file == ""
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
            small(tables='[[listeners]]\naddress = "[::1]:25"\nprotocol = "imap"'),
            'listeners[1].protocol: expected one of "smtp", "submission", "submissions", "lmtp", got "imap"',
        ),
        (
            small(
                tables='[[listeners]]\naddress = "[::1]:587"\nprotocol = "submission"\n'
                '[accounts]\nbackend = "embedded"'
            ),
            'listeners[1].protocol: "submission" needs a certificate; name one in tls.certificates',
        ),
        (
            small(
                tables='[[listeners]]\naddress = "[::1]:587"\nprotocol = "submission"\n'
                "[auth]\nclear_on_loopback = true"
            ),
            'listeners[1].protocol: nobody can log in for "submission" with accounts.backend = "static"; '
            'choose another one, such as "embedded"',
        ),
        (
            small(tables='[[listeners]]\naddress = "[::1]:25"\nproxy = ["10.0.0.1/8"]'),
            'listeners[1].proxy: "10.0.0.1/8" has bits set beyond its prefix; did you mean "10.0.0.0/8"?',
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


def test_two_persons_in_one_mailbox(tmp_path: Path) -> None:
    users = 'domains = ["a.example", "b.example"]\nusers = ["Bob@a.example", "bob@b.example", "{third}"]\n'
    text = small(mailboxes="{users}").replace('domains = ["example.org"]\n', "")
    text = text.replace("{users}", users + 'path = "/m/{user}"')
    assert problems(tmp_path, text.replace("{third}", "carl")) == [
        'mailboxes.users[1]: "bob@b.example" and "Bob@a.example" would share one mailbox, '
        'as mailboxes.path "/m/{user}" lacks {domain}; add it'
    ]
    assert load(tmp_path, text.replace("{user}", "{user}@{domain}").replace("{third}", "carl"))
    one = text.replace("bob@b.example", "bob").replace("{third}", "BOB@A.example")
    assert load(tmp_path, one), "one person in both"


def test_names_are_folded(tmp_path: Path) -> None:
    users = 'users = ["bob", "Bob", "bob@example.org", "BOB@EXAMPLE.ORG", "Ann"]'
    text = small(mailboxes=users).replace('["example.org"]', '["example.org", "Example.ORG", "b.example"]')
    assert names_of(load(tmp_path, text).mailboxes) == (
        ["example.org", "b.example"],
        ["bob", "bob@example.org", "Ann"],
    )


@pytest.mark.parametrize(
    ("path", "root"),
    [("/var/mail/{domain}/{user}", "/var/mail"), ("/home/u-{user}/mail", "/home"), ("/{user}", "/")],
)
def test_where_all_mailboxes_lie(tmp_path: Path, path: str, root: str) -> None:
    assert mailbox_root(load(tmp_path, small(mailboxes=f'path = "{path}"'))) == Path(root)


def test_a_key_that_was_replaced_says_by_what(tmp_path: Path) -> None:
    text = SMALL.format(top="", mailboxes="", tables="[limits]\nmessages_per_ip_per_minute = 30")
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    (problem,) = caught.value.problems
    assert problem.endswith(
        "limits.messages_per_ip_per_minute: no such key; "
        'write [[limits.rules]] with count = "messages", per = "ip", rate = "30/1m"'
    )
