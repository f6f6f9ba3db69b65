"""A first set-up is a good settings file and files with the right modes; nothing is overwritten."""

import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.accounts.embedded import DIRECTORY
from fastsmtp.config.bind import bind
from fastsmtp.process import setup
from fastsmtp.process.errors import StartError
from fastsmtp.process.settings import Settings, checked, load_settings
from fastsmtp.process.setup import (
    SYSTEM_DIRECTORY,
    SYSTEM_STATE,
    Plan,
    make_files,
    settings_text,
    taken_back,
)


def plan(directory: Path, **changes: Any) -> Plan:
    """One for example.org."""
    wanted: dict[str, Any] = {
        "domain": "example.org",
        "hostname": "mx.example.org",
        "directory": directory,
        "login": "alice@example.org",
    }
    return Plan(**(wanted | changes))


def test_what_is_made(tmp_path: Path) -> None:
    place = tmp_path / "etc"
    make_files(plan(place), None)
    settings = load_settings(place / "fastsmtp.toml")
    assert [(one.address, one.protocol) for one in settings.listeners] == [
        ("0.0.0.0:25", "smtp"),
        ("0.0.0.0:587", "submission"),
        ("0.0.0.0:465", "submissions"),
    ]
    assert settings.accounts.backend == "embedded"
    assert settings.relay.networks == ()
    assert not settings.auth.clear_on_loopback
    assert settings.data_dir == place / "data"
    modes = {path.name: path.stat().st_mode & 0o777 for path in place.rglob("*")}
    assert modes == {"fastsmtp.toml": 0o600, "tls": 0o755, "cert.pem": 0o644, "key.pem": 0o600, "dkim": 0o700}


def test_the_way_to_the_settings_is_open_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        make_files(plan(tmp_path / "srv" / "etc"), None)
    finally:
        os.umask(before)
    for name in ("srv", "srv/etc"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o755


def test_a_whole_machines_server_keeps_its_mail_below_var() -> None:
    text = settings_text(plan(SYSTEM_DIRECTORY, user="fastsmtp", listen=("192.0.2.1", "2001:db8::1")))
    settings = checked(bind(tomllib.loads(text), Settings))
    assert settings.user == "fastsmtp"
    assert settings.data_dir == SYSTEM_STATE / "data"
    assert settings.mailboxes.path == f"{SYSTEM_STATE}/mail/{{domain}}/{{user}}"
    assert [one.address for one in settings.listeners][:2] == ["192.0.2.1:25", "[2001:db8::1]:25"]


@pytest.mark.parametrize("name", ["fastsmtp.toml", "tls/cert.pem", "tls/key.pem", "data/accounts"])
def test_what_is_there_is_named_and_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).symlink_to("nowhere")
    with pytest.raises(StartError, match="is there already") as caught:
        make_files(plan(tmp_path), None)
    assert str(tmp_path / name) in str(caught.value)
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == [tmp_path / name]


def test_nothing_is_made_for_what_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "cert").write_text("")
    pair = (tmp_path / "cert", tmp_path / "none")
    with pytest.raises(StartError, match="none: cannot be read") as caught:
        make_files(plan(tmp_path / "etc", pair=pair), None)
    assert caught.value.code == os.EX_DATAERR
    with pytest.raises(StartError, match="hostname: expected a host name"):
        make_files(plan(tmp_path / "etc", hostname="a b"), None)
    assert not (tmp_path / "etc").exists()


def test_what_was_made_is_taken_back_when_the_rest_fails(tmp_path: Path) -> None:
    wanted = plan(tmp_path / "deep" / "etc")
    (tmp_path / "deep").mkdir()
    with pytest.raises(StartError, match="no more"), taken_back(wanted):  # noqa: PT012 - the rest is what fails
        make_files(wanted, None)
        accounts = wanted.data_dir / DIRECTORY
        accounts.mkdir(parents=True)
        (accounts / "data.mdb").write_text("")
        raise StartError("no more")
    assert list(tmp_path.rglob("*")) == [tmp_path / "deep"]


def test_what_was_there_is_not_taken_back(tmp_path: Path) -> None:
    wanted = plan(tmp_path)
    (tmp_path / "dkim").mkdir()
    (tmp_path / "dkim" / "key").write_text("mine")
    (tmp_path / "tls").mkdir()
    with pytest.raises(KeyboardInterrupt), taken_back(wanted):  # noqa: PT012
        make_files(wanted, None)
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "strange").write_text("somebody's")
        raise KeyboardInterrupt
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"dkim", "dkim/key", "tls", "data", "data/strange"}


def test_a_place_where_nothing_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="cannot make") as caught:
        make_files(plan(tmp_path / "file" / "etc"), None)
    assert caught.value.code == os.EX_CANTCREAT


def test_a_whole_machine_gets_a_maildrop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, drop = tmp_path / "etc", tmp_path / "spool" / "maildrop"
    assert plan(place).maildrop is None
    monkeypatch.setattr(setup, "SYSTEM_DIRECTORY", place)
    monkeypatch.setattr(setup, "SYSTEM_STATE", tmp_path / "state")
    monkeypatch.setattr(setup, "MAILDROP", str(drop))
    with pytest.raises(KeyboardInterrupt), taken_back(plan(place)):  # noqa: PT012
        make_files(plan(place), None)
        assert load_settings(place / "fastsmtp.toml").maildrop.path == str(drop)
        assert stat.S_IMODE(drop.stat().st_mode) == 0o3733
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
