"""How the crash tests look into mailboxes while a server starts."""

from pathlib import Path

from tests.tools import arrived


def test_what_a_start_makes_and_removes_is_no_maildir(tmp_path: Path) -> None:
    for place in ("example.org/alice", ".fastsmtp-check-x/alice", "example.org/.fastsmtp-check-x"):
        for folder in ("tmp", "new", "cur"):
            (tmp_path / place / folder).mkdir(parents=True)
        (tmp_path / place / "tmp" / "1").touch()
    assert list(arrived.maildirs(tmp_path)) == [tmp_path / "example.org/alice"]
    assert arrived.left_in_tmp(tmp_path) == [tmp_path / "example.org/alice/tmp/1"]
