"""The file that says how much is in a Maildir: read, added to, and counted anew."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastsmtp.mailbox import maildirsize
from fastsmtp.mailbox.maildirsize import (
    LONGEST,
    STALE,
    Usage,
    add,
    count,
    forget,
    kept,
    limits_of,
    parse,
    read,
)

QUOTA = 1000


class Box:
    def __init__(self, path: Path) -> None:
        self.path = path
        for folder in ("tmp", "new", "cur"):
            (path / folder).mkdir(parents=True)
        self.file = path / "maildirsize"
        self.folder = os.open(path, os.O_RDONLY)
        self.tmp = os.open(path / "tmp", os.O_RDONLY)

    def put(self, name: str, size: int) -> None:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * size)

    def usage(self) -> Usage:
        usage = read(self.folder)
        assert usage is not None
        return usage


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path / "box")
    yield box
    os.close(box.folder)
    os.close(box.tmp)


@pytest.mark.parametrize(
    ("text", "limits", "size", "messages", "lines"),
    [
        (b"1000S\n0 0\n", b"1000S", 0, 0, 1),
        (b"1000S,20C\n300 2\n40 1\n-300 -2\n", b"1000S,20C", 40, 1, 3),
        (b"\n           7            1\n", b"", 7, 1, 1),
    ],
)
def test_what_it_says(text: bytes, limits: bytes, size: int, messages: int, lines: int) -> None:
    assert parse(text, 5.0) == Usage(limits, size, messages, lines, 5.0)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"1000S", b"1000S\n", b"1000S\n1 1", b"1000S\n1\n", b"1000S\n1 1 1\n", b"1000S\n1\n1 1 1\n\n",
        b"1000S\nx 1\n", b"1000S\n-1 0\n", b"1000S\n1 -1\n", b"\0" * 40, b"1000S\n5 1\n\0\0\0\0",
    ],
)  # fmt: skip
def test_what_is_no_such_file(text: bytes) -> None:
    assert parse(text, 5.0) is None


@pytest.mark.parametrize(
    ("size", "lines", "age", "asked", "doubtful"),
    [
        (1000, 1, 0, 0, False),
        (999, 9, STALE + 1, 1, False),
        (1000, 2, 0, 0, True),
        (1000, 1, STALE + 1, 0, True),
        (1000, 1, -1, 0, False),
        (1000, 1, -STALE - 1, 0, True),
        (500, 2, 0, 501, True),
    ],
)
def test_only_what_would_refuse_is_doubted(
    size: int, lines: int, age: float, asked: int, doubtful: bool
) -> None:
    usage = Usage(limits_of(QUOTA), size, 1, lines, 5000.0)
    assert usage.doubtful(QUOTA, asked, 5000.0 + age) is doubtful


def test_what_was_written_for_another_quota_is_doubted() -> None:
    assert Usage(b"999S", 0, 0, 1, 0.0).doubtful(QUOTA, 0, 0.0)
    assert Usage(b"1000S,20C", 0, 0, 1, 0.0).doubtful(QUOTA, 0, 0.0)


def test_room() -> None:
    usage = Usage(b"", 990, 1, 1, 0.0)
    assert usage.room(QUOTA, 10)
    assert not usage.room(QUOTA, 11)
    assert not Usage(b"", QUOTA, 1, 1, 0.0).room(QUOTA, 0), "full is full, whatever the size"


def test_a_mailbox_without_it(box: Box) -> None:
    assert read(box.folder) is None
    assert not kept(box.tmp)
    add(box.tmp, 5, 1)
    forget(box.tmp)
    assert not box.file.exists(), "it begins with a count"


def test_count_takes_all_that_is_in_it(box: Box) -> None:
    box.put("new/1.a.host,S=30", 1)
    box.put("cur/2.b.host,S=400,W=410:2,S", 1)
    box.put("cur/3.c.host:2,RS", 7)
    box.put(".Sent/cur/4.d.host,S=50:2,S", 1)
    box.put(".Sent.Old/new/5.e.host,S=6", 1)
    box.put("tmp/6.f.host,S=900", 1)
    box.put("new/.hidden,S=900", 1)
    box.put("courierimapkeywords/new/x,S=900", 1)
    (box.path / ".file").write_text("no folder")
    (box.path / ".link").symlink_to(box.path / ".Sent")
    (box.path / ".halved").mkdir()
    (box.path / ".halved" / "cur").symlink_to(box.path / "cur")
    assert count(box.folder, QUOTA)
    assert box.file.read_bytes() == b"1000S\n493 5\n"
    assert box.file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(box.tmp) == ["6.f.host,S=900"]


def test_lines_are_added(box: Box) -> None:
    assert count(box.folder, QUOTA)
    assert kept(box.tmp)
    add(box.tmp, 30, 2)
    add(box.tmp, 5, 1)
    usage = box.usage()
    assert (usage.limits, usage.size, usage.messages, usage.lines) == (b"1000S", 35, 3, 3)
    assert usage.at == box.file.stat().st_mtime
    forget(box.tmp)
    assert not kept(box.tmp)


def test_a_long_one_is_to_be_counted(box: Box) -> None:
    box.file.write_bytes(b"1000S\n" + b"1 1\n" * 1278)
    assert box.file.stat().st_size < LONGEST
    assert box.usage().size == 1278
    add(box.tmp, 1, 1)
    add(box.tmp, 1, 1)
    assert box.file.stat().st_size > LONGEST
    assert read(box.folder) is None


@pytest.mark.parametrize("what", ["link", "pipe", "directory"])
def test_what_is_no_file_is_neither_followed_nor_waited_for(box: Box, what: str) -> None:
    other = box.path / "other"
    other.write_bytes(b"1000S\n1 1\n")
    if what == "link":
        box.file.symlink_to(other)
    elif what == "pipe":
        os.mkfifo(box.file)
    else:
        box.file.mkdir()
    if what == "link":
        with pytest.raises(OSError, match="symbolic link"):
            read(box.folder)
    else:
        assert read(box.folder) is None
    add(box.tmp, 5, 1)
    assert other.read_bytes() == b"1000S\n1 1\n"
    assert kept(box.tmp) is (what == "directory"), "a link or a pipe is taken away"


def test_a_disk_that_is_full_takes_it_away(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    assert count(box.folder, QUOTA)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda fd, data: len(data) - 1)
        add(box.tmp, 5, 1)
    assert not kept(box.tmp)


def test_mail_that_comes_while_it_counts_has_it_counted_again(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.put("new/1.a.host,S=30", 1)
    sizes = maildirsize._sizes

    def while_mail_comes(fd: int) -> list[int]:
        found = sizes(fd)
        box.put("new/2.b.host,S=40", 1)
        os.utime(box.path / "new", ns=(1, 1))
        return found

    with monkeypatch.context() as patched:
        patched.setattr(maildirsize, "_sizes", while_mail_comes)
        assert not count(box.folder, QUOTA)
    assert os.listdir(box.tmp) == []
    assert not box.file.exists()
    assert count(box.folder, QUOTA)
    assert box.usage().size == 70
