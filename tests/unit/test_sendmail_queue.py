"""The queue as mailq prints it, and who may not see it."""

import os
from pathlib import Path

import pytest

from fastsmtp.control.queue import QueueRow, RecipientRow
from fastsmtp.sendmail.failure import Failure
from fastsmtp.sendmail.queue import lines, retry, settings_file


def test_lines_of_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    row = QueueRow(
        id="8DrRyN2Cb00A2",
        state="held",
        queued_at=0.0,
        size=1234,
        sender="",
        recipients=[
            RecipientRow(address="a@b.c", code=450, reply="busy\x1b"),
            RecipientRow(address="d@b.c", code=450, reply="busy\x1b"),
        ],
        waiting=3,
    )
    head, why, *rest = lines(row)
    assert head.startswith("8DrRyN2Cb00A2!    1234 ")
    assert head.endswith("  MAILER-DAEMON")
    assert why.strip() == "(450 busy?)"
    assert [one.strip() for one in rest] == ["a@b.c", "d@b.c", "... and 1 more"]


def test_the_settings_that_are_meant(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("")
    assert settings_file(str(file)) == file
    with pytest.raises(Failure) as caught:
        settings_file(str(tmp_path / "none"))
    assert caught.value.code == os.EX_CONFIG


@pytest.mark.parametrize(("which", "more"), [("30m", []), ("I", []), ("Rx", [])])
def test_runs_that_are_not_known(which: str, more: list[str]) -> None:
    with pytest.raises(Failure) as caught:
        retry(None, which, more)
    assert caught.value.code == os.EX_USAGE
