"""The maildrop as the server sees it: who may make files in it, which of them are mail, and whose.

Everybody may make files in it, so that nothing in it is believed but what the kernel says: a regular file with one
name, of the directory's group (which its setgid bit gives to what is made in it, and to nothing that was brought from
elsewhere), opened without following a link. Its owner is who has sent it.
"""

import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress

from fastsmtp.maildrop.dropping import PART
from fastsmtp.maildrop.form import MOST_HEAD, Drop, DropError, decoded
from fastsmtp.maildrop.place import FACTS, facts_text

MODE = 0o3733
"""Its user may read it, all others only make files; nobody removes another's, and new files get its group."""
AGED = 86_400.0
"""Seconds after which whatever is not mail is removed, unless its name begins with `DAMAGED`."""
DAMAGED = "damaged-"
MOST_LISTED = 1000
"""Files that one look gives."""
_WHOLE = re.compile(r"[0-9a-f]{32}")
_ENTERED = re.compile(r"([0-9a-f]{32})\.([0-9A-Za-z]{13})")
_READ = 65_536


class Waiting:
    """A file that is to be taken: ``name``, the user id of its owner and when it was written (since 1970 UTC).
    ``entered`` is the queue id under which somebody began to bring it in, empty when nobody did."""

    __slots__ = ("at", "entered", "name", "uid")

    def __init__(self, name: str, uid: int, at: float, entered: str = "") -> None:
        self.name = name
        self.uid = uid
        self.at = at
        self.entered = entered


class Opened:
    """An open file: ``drop`` its envelope, the message from ``start`` on, ``size`` octets of it."""

    __slots__ = ("drop", "file", "size", "start")

    def __init__(self, file: int, drop: Drop, start: int, size: int) -> None:
        self.file = file
        self.drop = drop
        self.start = start
        self.size = size

    def pieces(self) -> Iterator[bytes]:
        """The message. Raises OSError."""
        at, end = self.start, self.start + self.size
        while at < end and (piece := os.pread(self.file, min(_READ, end - at), at)):
            at += len(piece)
            yield piece

    def close(self) -> None:
        """It is not read any more."""
        os.close(self.file)


class Unfit(Exception):
    """A file is not taken; one line. ``damaged``: it is kept for somebody to look at."""

    def __init__(self, text: str, *, damaged: bool = False) -> None:
        super().__init__(text)
        self.damaged = damaged


class Directory:
    """The maildrop ``path``, of one process at a time: who has `acquire`d it. May block. Most calls raise OSError."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        status = os.fstat(self._file)
        self._gid = status.st_gid if status.st_mode & stat.S_ISGID else None

    def close(self) -> None:
        """Let others have it."""
        os.close(self._file)

    def acquire(self) -> bool:
        """Whether it is ours from now on. Only who may read the directory can have the lock."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def tell(self, facts: dict[str, str]) -> None:
        """Let whoever drops mail know these."""
        part = PART + os.urandom(16).hex()  # no name that somebody else could have taken
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        file = os.open(part, flags, 0o644, dir_fd=self._file)
        try:
            os.fchmod(file, 0o644)
            os.write(file, facts_text(facts).encode())
        finally:
            os.close(file)
        try:
            self._rename(part, FACTS)
        except IsADirectoryError:
            self._rename(FACTS, DAMAGED + os.urandom(16).hex())
            self._rename(part, FACTS)

    def waiting(self, now: float, wanted: Callable[[str, int], bool]) -> list[Waiting]:
        """Mail to be taken, as ``wanted`` (name, user id) says; of each user the oldest first, and none waits for all
        of another's. What is old and no mail is removed."""
        found: list[Waiting] = []
        for name in os.listdir(self._file):
            entered = _ENTERED.fullmatch(name)
            if name == FACTS:
                continue
            try:
                status = os.stat(name, dir_fd=self._file, follow_symlinks=False)
            except OSError:
                continue  # its owner has taken it back
            if stat.S_ISDIR(status.st_mode):
                continue
            if entered is None and _WHOLE.fullmatch(name) is None:
                self._sweep(name, status, now)
            elif wanted(name, status.st_uid):
                entered_as = "" if entered is None else entered[2]
                found.append(Waiting(name, status.st_uid, status.st_mtime, entered_as))
                if len(found) >= MOST_LISTED:
                    break
        return _fair(found)

    def open(self, name: str, most: int) -> Opened:
        """The file, whose message has ``most`` octets at most. Raises `Unfit`, OSError."""
        before = os.stat(name, dir_fd=self._file, follow_symlinks=False)
        if not stat.S_ISREG(before.st_mode):
            raise Unfit("it is no regular file")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            file = os.open(name, flags, dir_fd=self._file)
        except PermissionError:
            raise Unfit("it cannot be read", damaged=True) from None
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                raise Unfit("it has more names than this one")
            if self._gid is not None and status.st_gid != self._gid:
                raise Unfit("it was not made here: its group is another")
            drop, start = _head(file)
            size = status.st_size - start
            if size > most:
                raise Unfit(f"the message has {size:,} octets, {most:,} are allowed", damaged=True)
            return Opened(file, drop, start, size)
        except BaseException:
            os.close(file)
            raise

    def enter(self, name: str, queue_id: str) -> str:
        """Note that it is brought in as ``queue_id``; its new name."""
        entered = f"{name[:32]}.{queue_id}"
        self._rename(name, entered)
        return entered

    def leave(self, name: str) -> str:
        """Note that nothing came of that; its new name."""
        self._rename(name, name[:32])
        return name[:32]

    def set_aside(self, name: str) -> None:
        """Keep it for somebody to look at."""
        self._rename(name, DAMAGED + name)

    def remove(self, name: str) -> None:
        """It is taken, or nothing to be taken."""
        try:
            os.unlink(name, dir_fd=self._file)
        except (FileNotFoundError, IsADirectoryError):
            pass

    def _rename(self, old: str, new: str) -> None:
        os.rename(old, new, src_dir_fd=self._file, dst_dir_fd=self._file)

    def _sweep(self, name: str, status: os.stat_result, now: float) -> None:
        if not name.startswith(DAMAGED) and status.st_ctime + AGED < now:
            with suppress(OSError):
                os.unlink(name, dir_fd=self._file)


def waiting_names(path: str) -> list[str]:
    """The names of the mail that waits in the maildrop ``path``. Raises OSError."""
    with os.scandir(path) as entries:
        return [
            one.name
            for one in entries
            if (_WHOLE.fullmatch(one.name) or _ENTERED.fullmatch(one.name))
            and not one.is_dir(follow_symlinks=False)
        ]


def _head(file: int) -> tuple[Drop, int]:
    """The envelope, and where the message begins. Raises `Unfit`, OSError."""
    data = b""
    while b"\n\n" not in data:
        piece = os.pread(file, _READ, len(data))
        if not piece or len(data) > MOST_HEAD:
            raise Unfit("its envelope has no end", damaged=True)
        data += piece
    head = data.partition(b"\n\n")[0]
    try:
        return decoded(head), len(head) + 2
    except DropError as error:
        raise Unfit(str(error), damaged=True) from None


def _fair(found: list[Waiting]) -> list[Waiting]:
    """Users take turns."""
    found.sort(key=lambda one: one.at)
    turns: dict[int, int] = {}
    ranked = []
    for one in found:
        turn = turns[one.uid] = turns.get(one.uid, 0) + 1
        ranked.append((turn, one.at, one.name, one))
    return [entry[3] for entry in sorted(ranked, key=lambda entry: entry[:3])]
