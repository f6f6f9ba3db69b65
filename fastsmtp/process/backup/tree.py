"""Plain files and directories on their way into a backup. Who is root opens them as the server's user, so that no
link in a directory of his leads further than he could go himself."""

import os
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from fastsmtp.process.backup.archive import PIECE, ArchiveWriter
from fastsmtp.process.privileges import Identity, acting_as


def copy_file(
    path: Path, name: str, identity: Identity | None, archive: ArchiveWriter, seen: Callable[[int], object]
) -> bool:
    """Put the file ``path`` into ``archive`` as ``name``; false when it has gone, or is no file. Raises OSError, also
    for a symbolic link."""
    try:
        with acting_as(identity):
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    with open(fd, "rb", buffering=0) as stream:
        state = os.fstat(fd)
        if not stat.S_ISREG(state.st_mode):
            return False
        left = state.st_size  # what it grows by meanwhile belongs to the next backup
        with archive.file(name, state.st_mode & 0o777, state.st_mtime) as out:
            while left and (data := stream.read(min(PIECE, left))):
                out.write(data)
                seen(len(data))
                left -= len(data)
    return True


def copy_tree(
    place: Path,
    name: str,
    identity: Identity | None,
    archive: ArchiveWriter,
    seen: Callable[[int], object],
    *,
    leave: Collection[str] = (),
) -> int:
    """Put the files below ``place`` into ``archive`` below ``name``, without those at the top that are in ``leave``;
    how many. What comes or goes meanwhile may be in it or not. Raises OSError."""
    count = 0
    for path in walked(place, identity, leave):
        count += copy_file(path, f"{name}/{path.relative_to(place)}", identity, archive, seen)
    return count


def copy_mailboxes(
    root: Path, name: str, identity: Identity | None, archive: ArchiveWriter, seen: Callable[[int], object]
) -> None:
    """Put the Maildirs below ``root`` into ``archive``, without ``tmp/``: what is in there stands in the queue still.
    A message that is renamed meanwhile, as it is read, is found by the start of its name. Raises OSError."""
    missed = []
    for path in walked(root, identity, (), mailboxes=True):
        if not copy_file(path, f"{name}/{path.relative_to(root)}", identity, archive, seen):
            missed.append(path)
    for path in missed:
        start = path.name.partition(":")[0]
        for box in (path.parent, path.parent.with_name("cur")):
            for again in walked(box, identity):
                target = f"{name}/{again.relative_to(root)}"
                if again.name.partition(":")[0] == start and not archive.has(target):
                    copy_file(again, target, identity, archive, seen)


def walked(
    place: Path, identity: Identity | None, leave: Collection[str] = (), *, mailboxes: bool = False
) -> Iterator[Path]:
    """All files below ``place``. With ``mailboxes`` those in ``new/`` of a Maildir come before those in ``cur/``, as
    they go there, and ``tmp/`` is left out. Raises OSError, but not for what is gone."""
    try:
        with acting_as(identity), os.scandir(place) as entries:
            found = sorted((one.name, one.is_dir(follow_symlinks=False)) for one in entries)
    except FileNotFoundError:
        return
    if mailboxes and {("cur", True), ("new", True)} <= set(found):
        found = [one for one in reversed(found) if one[0] != "tmp"]
    for entry, is_directory in found:
        if entry in leave:
            continue
        if is_directory:
            yield from walked(place / entry, identity, mailboxes=mailboxes)
        else:
            yield place / entry


def size_below(place: Path, identity: Identity | None, leave: Collection[str] = ()) -> int:
    """About the octets of the files there. Raises OSError."""
    total = 0
    for path in walked(place, identity, leave):
        try:
            with acting_as(identity):
                total += path.lstat().st_size
        except FileNotFoundError:
            continue
    return total
