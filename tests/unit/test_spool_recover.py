"""What a crash leaves in the body directory."""

import os
from pathlib import Path

import pytest

from fastsmtp.spool.recover import keep_bodies, remove_orphans
from tests.fakes.post_office import PostOffice

ORPHAN = "0123456789ABC"


def test_orphans_are_counted(tmp_path: Path) -> None:
    office = PostOffice(tmp_path).open()
    body = tmp_path / "spool/body"
    (body / ORPHAN).write_bytes(b"x")
    (body / "README").write_bytes(b"x")
    assert remove_orphans(office.spool._tables, body) == 1
    assert remove_orphans(office.spool._tables, body) == 0
    assert [file.name for file in body.iterdir()] == ["README"]
    office.close()


def test_what_was_set_aside_before_is_not_kept_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body, corrupt = tmp_path / "body", tmp_path / "corrupt"
    assert keep_bodies(body, corrupt) == 0
    body.mkdir()
    assert keep_bodies(body, corrupt) == 0
    assert not corrupt.exists()
    (body / ORPHAN).write_bytes(b"x")
    corrupt.mkdir()
    (corrupt / f"{ORPHAN}.eml").hardlink_to(body / ORPHAN)
    synced: list[int] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append(os.fstat(fd).st_ino)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    assert keep_bodies(body, corrupt) == 1
    assert synced == [corrupt.stat().st_ino, body.stat().st_ino, tmp_path.stat().st_ino]
    assert list(body.iterdir()) == []
    assert (corrupt / f"{ORPHAN}.eml").read_bytes() == b"x"
