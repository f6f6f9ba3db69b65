"""From a settings file to tables, and again when it has changed."""

from pathlib import Path

import pytest

from fastsmtp.config.errors import SettingsError
from fastsmtp.config.signature import signature
from fastsmtp.mail.reply import MAILBOX_UNKNOWN
from fastsmtp.process import routing
from fastsmtp.process.routing import SettingsSource, router_of
from fastsmtp.process.settings import load_settings, srs_domain
from fastsmtp.routing.credentials import Credential
from fastsmtp.routing.route import Hop, LocalRoute, RemoteRoute
from fastsmtp.routing.srs import make_secret

TEXT = """
hostname = "mx.example.org"
data_dir = "data"
[[listeners]]
address = "127.0.0.1:0"
[mailboxes]
domains = ["Example.org"]
users = ["alice"]
postmaster = "alice"
path = "mail/{domain}/{user}"
[relay]
domains = ["corp.test"]
recipients = "list"
[[routes]]
match = "corp.test"
to = "h.test:587"
credentials = "c"
[credentials.c]
user = "u"
password_file = "password"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "list").write_text("dora@corp.test\n")
    (tmp_path / "password").write_text("geheim\n")
    file = tmp_path / "fastsmtp.toml"
    file.write_text(TEXT)
    return file


def test_everything_that_is_read_is_watched(file: Path) -> None:
    source = SettingsSource(file, load_settings(file), b"s" * 32)
    tables, srs = source.load()
    assert set(source.seen) == {file, file.parent / "list", file.parent / "password"}
    assert tables.place("alice", "example.org") == LocalRoute("alice@example.org")
    assert tables.place("dora", "corp.test") == RemoteRoute(
        (Hop("smtp", "h.test", 587, "c", "verify"),), "corp.test"
    )
    assert tables.place("emil", "corp.test") is MAILBOX_UNKNOWN
    assert tables.credentials == {"c": Credential("u", "geheim")}
    assert srs is not None
    assert srs.domain == "example.org"


def test_the_next_time_it_is_what_the_file_says_then(file: Path) -> None:
    source = SettingsSource(file, load_settings(file), None)
    source.load()
    file.write_text(
        TEXT.replace('users = ["alice"]', 'users = ["alice", "bob"]').replace('"list"', '"other"')
    )
    with pytest.raises(SettingsError, match=r"relay\.recipients: cannot read .*/other"):
        source.load()
    assert file.parent / "other" in source.seen
    (file.parent / "other").write_text("@corp.test\n")
    tables, srs = source.load()
    assert srs is None
    assert tables.place("bob", "example.org") == LocalRoute("bob@example.org")
    assert isinstance(tables.place("emil", "corp.test"), RemoteRoute)
    # a worker that starts while the file is broken has what the server was started with
    file.write_text("hostname = ")
    with pytest.raises(SettingsError, match=r"fastsmtp\.toml:1"):
        source.load()
    tables, _ = source.fall_back()
    assert tables.place("bob", "example.org") is MAILBOX_UNKNOWN


def test_a_file_that_is_as_it_was_is_not_read_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, settings = signature(file), load_settings(file)
    source = SettingsSource(file, settings, None, read=read)
    monkeypatch.setattr(routing, "load_settings", lambda file: pytest.fail("read again"))
    tables, _ = source.load()
    assert file in source.seen
    assert tables.place("bob", "example.org") is MAILBOX_UNKNOWN
    monkeypatch.undo()
    file.write_text(TEXT.replace('users = ["alice"]', 'users = ["alice", "bob"]'))
    tables, _ = source.load()
    assert tables.place("bob", "example.org") == LocalRoute("bob@example.org")


def test_without_a_file_nothing_but_what_it_names_is_watched(file: Path) -> None:
    source = SettingsSource(None, load_settings(file), None)
    source.load()
    assert set(source.seen) == {file.parent / "list", file.parent / "password"}


def test_a_list_that_is_mended_is_seen(file: Path) -> None:
    """It is named by the file of aliases, which stays as it is."""
    aliases, team = file.parent / "aliases", file.parent / "team"
    file.write_text(TEXT + '[forwarding]\naliases_file = "aliases"\n')
    aliases.write_text(f"team: :include:{team}\n")
    team.write_text("|/bin/sh\n")
    source = SettingsSource(file, load_settings(file), None)
    with pytest.raises(SettingsError, match="commands are not run"):
        source.load()
    assert source.seen[team] == signature(team)
    team.write_text("alice\n")
    assert source.seen[team] != signature(team)
    tables, _ = source.load()
    assert tables.aliases.named("team", "example.org") is not None


def test_accounts_are_not_asked_where_tables_are_read(file: Path) -> None:
    """A thread reads, and they are for the loop's."""

    class Untouchable:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"{name} was asked")

    (file.parent / "aliases").write_text("team: alice, bob@far.test\nowner-team: alice\nlost: nobody\n")
    file.write_text(TEXT + '[forwarding]\naliases_file = "aliases"\n[accounts]\nbackend = "embedded"\n')
    source = SettingsSource(file, load_settings(file), b"s" * 32)
    source.names = Untouchable()  # type: ignore[assignment]
    assert len(source.load()) == 2


def test_srs_domain(file: Path) -> None:
    assert srs_domain(load_settings(file)) == "example.org"
    file.write_text(TEXT + '[forwarding]\nsrs_domain = "Back.test"\n')
    assert srs_domain(load_settings(file)) == "back.test"


def test_a_router_for_somebody_who_asks(file: Path) -> None:
    settings = load_settings(file)
    router, notes = router_of(settings)
    assert router.route("alice", "example.org", "") == LocalRoute("alice@example.org")
    assert notes == [
        f"the codes in return addresses are not the server's: its first start makes {file.parent}/data/srs.secret"
    ]
    settings.data_dir.mkdir()
    make_secret(settings.data_dir / "srs.secret")
    assert router_of(settings)[1] == []
    (settings.data_dir / "srs.secret").write_text("broken")
    assert "does not hold 64 hexadecimal digits" in router_of(settings)[1][0]
