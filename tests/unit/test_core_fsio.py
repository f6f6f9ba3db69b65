"""The compiled file-system calls and their plain twin, under the same tests."""

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from fastsmtp._core import _py_fsio

try:
    from fastsmtp._core import fsio as compiled  # type: ignore[attr-defined]
except ImportError:
    compiled = _py_fsio


@pytest.fixture(params=["c", "py"])
def core(request: pytest.FixtureRequest) -> Any:
    return compiled if request.param == "c" else _py_fsio


@pytest.fixture
def directory(tmp_path: Path) -> Any:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_ranges_of_one_buffer_become_files(core: Any, directory: int, tmp_path: Path) -> None:
    data = b"".join(b"%03d" % i for i in range(200))
    jobs = [(directory, b"f%d" % i, -1, i * 3, 3, "more") for i in range(200)]
    assert core.write_files(memoryview(data), jobs) == [0] * 200
    assert all((tmp_path / f"f{i}").read_bytes() == b"%03d" % i for i in range(200))
    assert (tmp_path / "f0").stat().st_mode & 0o777 == 0o600


def test_an_old_file_makes_way_with_a_fresh_inode(core: Any, directory: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old and longer")
    os.link(tmp_path / "a", tmp_path / "kept")
    assert core.write_files(b"new", [(directory, b"a", -1, 0, 3)], sync=True) == [0]
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "kept").read_bytes() == b"old and longer"


def test_a_symbolic_link_is_not_followed(core: Any, directory: int, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    assert core.write_files(b"new", [(directory, b"a", -1, 0, 3)]) == [0]
    assert not (tmp_path / "a").is_symlink()
    assert not (tmp_path / "elsewhere").exists()


def test_each_item_has_its_own_errno(core: Any, directory: int, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    jobs = [(directory, name, -1, 0, 1) for name in (b"a", b"no/b", b"dir", b"c")]
    first, second, third, fourth = core.write_files(b"x", jobs)
    assert (first, second, fourth) == (0, errno.ENOENT, 0)
    assert third == errno.EISDIR


def test_a_range_outside_the_buffer_is_refused(core: Any, directory: int) -> None:
    for offset, length in ((2, 2), (-1, 1), (0, -1), (4, 0)):
        with pytest.raises(ValueError, match="outside"):
            core.write_files(b"abc", [(directory, b"a", -1, offset, length)])


@pytest.mark.parametrize(
    "text",
    [
        b"", b"\r", b"\n", b"\r\n", b"\r\r\n", b"\n\r", b"a\r\nb\rc\nd", b"\r\n\r\n\r\n", b"x" * 40000 + b"\r\n",
        b"ab\r\n" * 20000, (b"y" * 16384 + b"\r\n") * 3, b"q\r" * 9000,
    ],
)  # fmt: skip
def test_crlf_becomes_lf_and_nothing_else(core: Any, directory: int, tmp_path: Path, text: bytes) -> None:
    padded = b"\r" + text + b"\n"
    assert core.write_files(padded, [(directory, b"a", -1, 1, len(text))], lf=True) == [0]
    written = (tmp_path / "a").read_bytes()
    assert written == text.replace(b"\r\n", b"\n")
    assert len(text) - core.count_crlf(padded, 1, len(text)) == len(written)


def test_files_move_and_a_missing_one_is_told(core: Any, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "new").mkdir()
    fds = [os.open(tmp_path / d, os.O_RDONLY) for d in ("tmp", "new")]
    (tmp_path / "tmp" / "a").write_bytes(b"1")
    assert core.rename_files([(fds[0], b"a", fds[1]), (fds[0], b"b", fds[1])]) == [0, errno.ENOENT]
    assert (tmp_path / "new" / "a").read_bytes() == b"1"
    for fd in fds:
        os.close(fd)


def test_a_link_replaces_what_had_the_name(core: Any, directory: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    assert core.link_file(directory, b"a", directory, b"b") == 0
    assert (tmp_path / "b").stat().st_ino == (tmp_path / "a").stat().st_ino
    assert core.link_file(directory, b"absent", directory, b"c") == errno.ENOENT


def test_an_open_file_is_copied(core: Any, directory: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(100_000))
    fd = os.open(tmp_path / "a", os.O_RDONLY)
    assert core.copy_file(fd, 100_000, directory, b"b", sync=True) == 0
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()
    assert core.copy_file(fd, 100_001, directory, b"c") == errno.EINVAL
    assert not (tmp_path / "c").exists()
    os.close(fd)


def test_syncfs(core: Any, directory: int) -> None:
    assert core.syncfs(directory) == 0
    assert core.syncfs(-1) == errno.EBADF


def test_others_run_meanwhile(core: Any) -> None:
    seen: list[int] = []
    thread = threading.Thread(target=seen.append, args=(1,))
    thread.start()
    while not seen:
        core.let_others_run()
    thread.join()
