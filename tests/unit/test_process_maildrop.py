"""The directory as the server makes it, and what of a dropped envelope is believed."""

import os
import stat
from pathlib import Path

import pytest

from fastsmtp.maildrop.directory import Directory, Unfit
from fastsmtp.maildrop.dropping import Dropping
from fastsmtp.maildrop.form import Drop
from fastsmtp.maildrop.settings import MaildropSettings
from fastsmtp.process.errors import StartError
from fastsmtp.process.maildrop import _begun, _parameters, home_domain, make_maildrop
from fastsmtp.process.settings import Settings, default_settings
from tests.tools.root import root_only


def settings(tmp_path: Path, **given: object) -> Settings:
    """Settings with a maildrop."""
    base = default_settings(tmp_path)
    return Settings(
        hostname="mx.test.example",
        listeners=base.listeners,
        mailboxes=base.mailboxes,
        maildrop=MaildropSettings(path=str(tmp_path / "a" / "drop"), **given),  # type: ignore[arg-type]
    )


def test_everybody_may_drop_and_nobody_look(tmp_path: Path) -> None:
    made = settings(tmp_path)
    for _ in range(2):
        make_maildrop(made, None)
        path = tmp_path / "a" / "drop"
        assert stat.S_IMODE(path.stat().st_mode) == 0o3733
        path.chmod(0o700)
    assert home_domain(made) == "localhost"
    assert home_domain(settings(tmp_path, domain="x.test")) == "x.test"


@root_only
def test_another_s_directory_is_not_used(tmp_path: Path) -> None:
    made = settings(tmp_path)
    make_maildrop(made, None)
    os.chown(tmp_path / "a" / "drop", 12345, -1)
    with pytest.raises(StartError, match="belongs to user 12345"):
        make_maildrop(made, None)


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a" / "drop").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StartError, match="cannot make"):
        make_maildrop(settings(tmp_path), None)
    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) != 0o3733


def test_parameters_are_those_of_smtp() -> None:
    drop = Drop(None, ("a",), parameters={"RET": "hdrs", "NOTIFY": "never", "ENVID": "x"}, eight_bit=True)
    assert _parameters(drop) == ({"BODY": "8BITMIME", "RET": "HDRS", "ENVID": "x"}, {"NOTIFY": "NEVER"})
    for bad in ({"SIZE": "1"}, {"RET": "x"}, {"ENVID": "a b"}, {"ENVID": ""}, {"HOLDFOR": "5"}):
        with pytest.raises(Unfit):
            _parameters(Drop(None, ("a",), parameters=bad))


@pytest.mark.parametrize(
    ("message", "header", "rest"),
    [
        (b"A: b\r\n\r\nx", b"A: b\r\n", 6),
        (b"\r\nx", b"", 0),
        (b"A: b\r\n", b"A: b\r\n", 6),
        (b"A: " + b"x" * (3 << 20) + b"\r\n\r\n", b"", 0),
    ],
)
def test_where_the_header_ends(tmp_path: Path, message: bytes, header: bytes, rest: int) -> None:
    dropping = Dropping(str(tmp_path), Drop(None, ("a",)))
    dropping.write(message)
    dropping.commit()
    directory = Directory(str(tmp_path))
    opened = directory.open(dropping.name, 4 << 20)
    assert _begun(opened) == (header, rest)
    opened.close()
    directory.close()
