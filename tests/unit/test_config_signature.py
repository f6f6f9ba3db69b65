"""A file that has changed looks different."""

import os
from pathlib import Path

from fastsmtp.config.signature import signature


def test_what_changes(tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert signature(file) is None
    file.write_text("a")
    first = signature(file)
    assert first is not None
    assert signature(str(file)) == first
    file.write_text("ab")
    second = signature(file)
    assert second != first
    (tmp_path / "other").write_text("ab")
    os.replace(tmp_path / "other", file)
    assert signature(file) not in (None, first, second)


def test_a_link_is_what_it_leads_to(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    link = tmp_path / "link"
    link.symlink_to("one")
    assert signature(link) == signature(tmp_path / "one")
    link.unlink()
    link.symlink_to("two")
    assert signature(link) == signature(tmp_path / "two")
