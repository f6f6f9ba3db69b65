"""A message gets its name when it is whole, and leaves nothing otherwise."""

import os
import stat
from pathlib import Path

import pytest

from fastsmtp.maildrop.dropping import PART, Dropping, TooLarge, room
from fastsmtp.maildrop.form import Drop, decoded


def test_it_has_no_name_before_it_is_complete(tmp_path: Path) -> None:
    dropping = Dropping(str(tmp_path), Drop(None, ("a",)))
    dropping.write(b"Subject: x\r\n\r\n")
    assert os.listdir(tmp_path) == [PART + dropping.name]
    dropping.write("\u00fc\r\n".encode())
    dropping.commit()
    assert os.listdir(tmp_path) == [dropping.name]
    file = tmp_path / dropping.name
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    head, _, message = file.read_bytes().partition(b"\n\n")
    assert decoded(head).eight_bit
    assert message == b"Subject: x\r\n\r\n\xc3\xbc\r\n"


def test_the_umask_does_not_hide_it_from_the_server(tmp_path: Path) -> None:
    old = os.umask(0o777)
    try:
        dropping = Dropping(str(tmp_path), Drop(None, ("a",)))
        dropping.commit()
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / dropping.name).stat().st_mode) == 0o640


def test_nothing_is_left_of_what_is_given_up(tmp_path: Path) -> None:
    dropping = Dropping(str(tmp_path), Drop(None, ("a",)), most=10)
    dropping.write(b"0123456789")
    with pytest.raises(TooLarge):
        dropping.write(b"x")
    dropping.abort()
    dropping.abort()
    assert os.listdir(tmp_path) == []


def test_a_name_that_cannot_be_given_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dropping = Dropping(str(tmp_path), Drop(None, ("a",)))

    def broken(*paths: str) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "rename", broken)
    with pytest.raises(OSError, match="Input/output"):
        dropping.commit()
    assert os.listdir(tmp_path) == []


def test_there_is_room(tmp_path: Path) -> None:
    assert room(str(tmp_path))
