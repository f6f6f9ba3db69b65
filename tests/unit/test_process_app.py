"""What is prepared before the first fork."""

from pathlib import Path

import msgspec
import pytest

from fastsmtp.process.app import leftover_shards, mailbox_root
from fastsmtp.process.settings import default_settings


def test_shards_without_a_slot_are_found(tmp_path: Path) -> None:
    assert leftover_shards(tmp_path / "spool", 1) == []
    for name in ("0", "1", "10", "2", "x", "3.old"):
        (tmp_path / "spool" / name).mkdir(parents=True)
    assert leftover_shards(tmp_path / "spool", 2) == [2, 10]
    assert leftover_shards(tmp_path / "spool", 11) == []


@pytest.mark.parametrize(
    ("path", "root"),
    [
        ("/var/mail/{domain}/{user}", "/var/mail"),
        ("/var/mail/box-{user}", "/var/mail"),
        ("/home/{user}/Maildir", "/home"),
    ],
)
def test_the_root_of_all_mailboxes(tmp_path: Path, path: str, root: str) -> None:
    settings = default_settings(tmp_path)
    mailboxes = msgspec.structs.replace(settings.mailboxes, path=path)
    assert mailbox_root(msgspec.structs.replace(settings, mailboxes=mailboxes)) == Path(root)
