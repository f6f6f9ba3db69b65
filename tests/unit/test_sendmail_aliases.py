"""newaliases: a check, and who follows the file."""

import os
from pathlib import Path

import pytest

from fastsmtp.sendmail.aliases import check
from fastsmtp.sendmail.failure import Failure
from tests.system.server import settings_text


def write(tmp_path: Path, aliases: str, **more: object) -> str:
    """A settings file that names ``aliases``."""
    (tmp_path / "aliases").write_text(aliases)
    settings = {
        "hostname": "mx.test.example",
        "listeners": [{"address": "127.0.0.1:2525"}],
        "mailboxes": {"domains": ["test.example"], "users": ["alice"], "postmaster": "alice"},
        "forwarding": {"aliases_file": "aliases"},
        **more,
    }
    (tmp_path / "x.toml").write_text(settings_text(settings))
    return str(tmp_path / "x.toml")


def test_a_good_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(write(tmp_path, "root: alice\nold: nobody-of-that-name\n")) == os.EX_OK
    said = capsys.readouterr().out
    assert f"{tmp_path}/aliases: 2 aliases, well-formed" in said
    assert f'note: {tmp_path}/aliases:2: "old@test.example" is left out: no such mailbox here' in said
    assert "a running server has read it" in said


def test_whoever_checks_need_not_be_able_to_read_passwords(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    smarthost = {"smarthost": {"user": "u", "password_file": "not-for-us"}}
    relay = {"domains": ["far.example"], "recipients": "nor-this"}
    config = write(tmp_path, "root: alice, bob@far.example\n", credentials=smarthost, relay=relay)
    assert check(config) == os.EX_OK
    assert "left out" not in capsys.readouterr().out


def test_a_bad_file_names_its_lines(tmp_path: Path) -> None:
    with pytest.raises(Failure) as caught:
        check(write(tmp_path, "root: |/bin/sh\n"))
    assert caught.value.code == os.EX_DATAERR
    assert str(caught.value).startswith(f"{tmp_path}/aliases:1: ")


def test_wrong_settings(tmp_path: Path) -> None:
    with pytest.raises(Failure) as caught:
        check(str(tmp_path / "none.toml"))
    assert caught.value.code == os.EX_CONFIG
