"""Secrets by file, from systemd too; shown to nobody."""

from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta

from fastsmtp.config.errors import SettingsError
from fastsmtp.config.secrets import SERVICE_DIRECTORY, SecretStruct, file_of, is_credential, read_secret


class Table(SecretStruct, frozen=True, kw_only=True):
    """A table."""

    user: Annotated[str, Meta(description="User.")]
    password: Annotated[str | None, Meta(description="Password.", extra={"secret": True})] = None


def test_a_path_begins_at_the_settings_file() -> None:
    assert file_of(Path("/etc/x"), "pw") == "/etc/x/pw"
    assert file_of(Path("/etc/x"), "/run/pw") == "/run/pw"
    assert not is_credential("/etc/x/pw")


def test_a_credential_is_in_systemds_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/other.service")
    file = file_of(Path("/etc/x"), "credential:smarthost")
    assert file == "/run/credentials/other.service/smarthost"
    assert is_credential(file)


def test_a_command_looks_where_the_service_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert file_of(Path("/etc/x"), "credential:a") == f"{SERVICE_DIRECTORY}/a"


def test_a_missing_credential_is_told_with_what_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(SettingsError) as caught:
        read_secret("a.password_file", file_of(tmp_path, "credential:db"))
    assert caught.value.problems == (
        f"a.password_file: cannot read {tmp_path}/db: No such file or directory; LoadCredential=db:FILE in the "
        "service's unit gives it",
    )


def test_a_secret_is_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"one two\r\nthree\n")
    assert read_secret("k", str(tmp_path / "f")) == "one two"


def test_a_table_does_not_show_its_secrets() -> None:
    table = Table(user="u", password="geheim")
    assert repr(table) == str(table) == "Table(user='u')"
