"""Passwords of systemd's directory are read once and filled in; and no secret of any setting is shown."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.config.bind import bind
from fastsmtp.config.errors import SettingsError
from fastsmtp.config.kinds import fields_of, flagged, items_of, struct_of, values_of
from fastsmtp.config.secrets import SecretStruct
from fastsmtp.process.credentials import Credentials
from fastsmtp.process.errors import StartError
from fastsmtp.process.settings import Settings, load_settings
from tests.unit.test_process_settings import small

TABLES = """
[accounts.ldap]
url = "ldaps://ldap.example.org"
base = "dc=example"
password_file = "credential:ldap"
[accounts.postgresql]
url = "postgresql://mail@127.0.0.1/mail"
password_file = "credential:db"
[credentials.a]
user = "u"
password_file = "credential:a"
[credentials.b]
user = "u"
password_file = "plain"
"""


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """systemd's directory."""
    place = tmp_path / "given"
    place.mkdir()
    for name in ("ldap", "db", "a"):
        (place / name).write_text(f"secret of {name}\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(place))
    return place


def settings(tmp_path: Path) -> Settings:
    """Those with `TABLES`."""
    (tmp_path / "f.toml").write_text(small() + TABLES)
    return load_settings(tmp_path / "f.toml")


def test_they_are_read_once_and_stand_for_their_files(tmp_path: Path, given: Path) -> None:
    read = Credentials(settings(tmp_path))
    for name in ("ldap", "db", "a"):
        (given / name).unlink()
    filled = read.fill(settings(tmp_path))
    assert filled.accounts.ldap is not None
    assert filled.accounts.postgresql is not None
    assert filled.accounts.ldap.password == "secret of ldap"
    assert filled.accounts.postgresql.password == "secret of db"
    assert (filled.credentials["a"].password, filled.credentials["a"].password_file) == ("secret of a", None)
    assert filled.credentials["b"].password_file == str(tmp_path / "plain")
    assert "secret of" not in repr(filled) + repr(read)


def test_a_missing_one_keeps_the_server_from_starting(tmp_path: Path, given: Path) -> None:
    (given / "a").unlink()
    with pytest.raises(StartError, match=r"^credentials\.a\.password_file: cannot read .*/a: No such file"):
        Credentials(settings(tmp_path))


def test_a_key_may_be_one(tmp_path: Path, given: Path) -> None:
    (tmp_path / "f.toml").write_text(
        small() + '[tls]\ncertificates = [{ cert = "c.pem", key = "credential:tls-key" }]\n'
    )
    (pair,) = load_settings(tmp_path / "f.toml").tls.certificates
    assert (pair.cert, pair.key) == (str(tmp_path / "c.pem"), str(given / "tls-key"))


def secrets_of(table: Any) -> Iterator[tuple[list[str], Any]]:
    """Every key that holds a secret, as the way to it, with the struct it stands in."""
    for field in fields_of(table):
        if flagged(field.type, "secret"):
            yield [field.encode_name], table
        for wrap in (lambda kind: kind, items_of, values_of):
            inner = struct_of(wrap(field.type))
            if inner is not None:
                for path, owner in secrets_of(inner):
                    yield [field.encode_name, *path], owner


SECRETS = list(secrets_of(Settings))


def test_all_secrets_are_known() -> None:
    """A setting whose name says secret is marked so, lest its value is shown."""
    names = {".".join(path) for path, _ in SECRETS}
    assert names >= {"credentials.password", "accounts.postgresql.url", "accounts.ldap.password"}
    unmarked = [
        f"{table.__name__}.{field.name}"
        for table in {owner for _, owner in SECRETS} | {Settings}
        for field in fields_of(table)
        if field.name in ("password", "secret", "dsn", "token") and not flagged(field.type, "secret")
    ]
    assert unmarked == []


@pytest.mark.parametrize(("path", "owner"), SECRETS, ids=[".".join(path) for path, _ in SECRETS])
def test_no_message_shows_a_secret(path: list[str], owner: type) -> None:
    """Put where a table belongs, in a list, or under a wrong name, as people do."""
    assert issubclass(owner, SecretStruct)
    for wrong in ("hunter2", ["hunter2"], {"x": "hunter2"}, {path[-1]: ["hunter2"]}):
        for depth in range(len(path)):
            value: Any = wrong
            for key in reversed(path[: depth + 1]):
                value = {key: value}
            with pytest.raises(SettingsError) as caught:
                bind(value, Settings)
            assert "hunter2" not in str(caught.value), caught.value.problems
