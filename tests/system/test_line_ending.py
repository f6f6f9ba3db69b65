"""With ``line_ending = "lf"`` a mailbox file has the message with LF, and its size in the name is that."""

from functools import partial
from pathlib import Path

import pytest

from tests.tools import arrived
from tests.tools.site import site
from tests.tools.waiting import until

CONTENTS = [
    b"Subject: small\r\n\r\n.one\r\n..\r\n\r\n",
    b"Subject: large\r\n\r\n" + b"a line of thirty-two characters\r\n" * 20_000,
    b"Subject: no line end in sight\r\n\r\n" + b"x" * 200_000 + b"\r\n",
    b"\r\n" * 100_000,
]


def holds(folder: Path, count: int) -> bool:
    """Whether so many files stand there."""
    return len(list(folder.glob("*"))) == count


@pytest.mark.parametrize("share", [False, True], ids=["a file each", "shared files"])
def test_line_ending(tmp_path: Path, share: bool) -> None:
    with site(tmp_path, workers=1, mailboxes={"line_ending": "lf", "share_files": share}) as server:
        with server.wire() as wire:
            wire.hello()
            for content in CONTENTS:
                wire.message(content, "alice@example.org", "bob@example.org").queue_id  # noqa: B018 - accepted
        for user in ("alice", "bob"):
            new = server.maildir(user) / "new"
            until(f"{user} has it all", partial(holds, new, len(CONTENTS)), 60)
            found = [arrived.read(path, b"\n") for path in new.iterdir()]
            assert all(b"\r" not in each.received for each in found)
            expected = sorted(content.replace(b"\r\n", b"\n") for content in CONTENTS)
            assert sorted(each.content for each in found) == expected
