"""Is told of a new name at once."""

import os
import select
from pathlib import Path

import pytest

from fastsmtp.maildrop.watch import drain, watch


def test_a_rename_is_heard(tmp_path: Path) -> None:
    file = watch(str(tmp_path))
    try:
        (tmp_path / "part").write_bytes(b"")
        assert select.select([file], [], [], 0)[0] == []
        (tmp_path / "part").rename(tmp_path / "whole")
        assert select.select([file], [], [], 10)[0] == [file]
        drain(file)
        assert select.select([file], [], [], 0)[0] == []
    finally:
        os.close(file)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        watch(str(tmp_path / "none"))
