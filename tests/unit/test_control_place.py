"""Where control sockets lie, and how one is told from its successor."""

import os
from pathlib import Path

from fastsmtp.control.place import mark


def test_a_file_in_the_place_of_another_is_another(tmp_path: Path) -> None:
    """Also when it has the same inode, as happens where the first one was removed just before."""
    file = tmp_path / "0"
    file.touch()
    before = mark(file)
    assert mark(file) == before
    os.utime(file)  # the inode stays, and was made anew as far as anybody can tell
    assert mark(file) != before
