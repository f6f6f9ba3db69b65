"""A Maildir: its three directories and the names of its files (https://cr.yp.to/proto/maildir.html).

A file's name is made from the message and the number of the recipient alone, so that it can be made again after
a crash: ``seconds.IDRnumber.host,S=size``. ``S`` is the file's size in bytes, as Maildir++ has it.
"""

import contextlib
import os

_FOLDERS = (b"tmp", b"new", b"cur")
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def host_part(hostname: str) -> str:
    """``hostname`` as it may stand in a file name, as the Maildir page has it."""
    return hostname.replace("/", "\\057").replace(":", "\\072")[:64]


def file_name(received_at: float, queue_id: str, recipient: int, host: str, size: int) -> bytes:
    """The name of one recipient's file; ``size`` in bytes as it stands on disk."""
    return f"{int(received_at)}.{queue_id}R{recipient}.{host},S={size}".encode("utf-8", "surrogateescape")


class Maildir:
    """An open mailbox: descriptors of ``tmp`` and ``new``, and what tells whether they still are the ones at its
    ``path``. ``mailbox`` is whose it is; ``tmp_device`` and ``tmp_inode`` tell one ``tmp/`` from another."""

    __slots__ = ("_new_at", "_new_id", "_tmp_at", "mailbox", "new", "path", "tmp", "tmp_device", "tmp_inode")

    def __init__(self, path: bytes, root: int, mailbox: str = "") -> None:
        self.path = path
        self.mailbox = mailbox
        self._tmp_at = path + b"/tmp"
        self._new_at = path + b"/new"
        self.tmp = self.new = -1
        try:
            self.tmp = os.open(b"tmp", _OPEN | os.O_NOFOLLOW, dir_fd=root)
            self.new = os.open(b"new", _OPEN | os.O_NOFOLLOW, dir_fd=root)
            status = os.fstat(self.tmp)
            self.tmp_device, self.tmp_inode = status.st_dev, status.st_ino
            status = os.fstat(self.new)
            self._new_id = status.st_dev, status.st_ino
        except OSError:
            self.close()
            raise

    def current(self) -> bool:
        """Whether the path still leads here: a mailbox, or one of its directories, may be renamed or removed at
        any time. Where both directories are the same, it does not matter what they stand in."""
        try:
            tmp = os.lstat(self._tmp_at)
            new = os.lstat(self._new_at)
        except OSError:
            return False
        return (
            tmp.st_ino == self.tmp_inode
            and tmp.st_dev == self.tmp_device
            and (new.st_dev, new.st_ino) == self._new_id
        )

    def close(self) -> None:
        """Close the descriptors."""
        for fd in (self.tmp, self.new):
            if fd >= 0:
                os.close(fd)
        self.tmp = self.new = -1


def open_maildir(path: bytes, mailbox: str = "", *, create: bool = True, sync: bool = False) -> Maildir:
    """Open the Maildir at ``path``; ``create`` makes what is missing of it (0700), and of the way to it.

    New directories are durable once their file system is synced; those on another one than the mailbox, and
    with ``sync`` all of them, are synced here. Raises OSError.
    """
    made: list[bytes] = []
    try:
        root = os.open(path, _OPEN)
    except FileNotFoundError:
        if not create:
            raise
        _make(path, made)
        root = os.open(path, _OPEN)
    folders = 0
    try:
        if create:
            for folder in _FOLDERS:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder, 0o700, dir_fd=root)
                    folders += 1
        if folders and sync:
            os.fsync(root)
        maildir = Maildir(path, root, mailbox)
    finally:
        os.close(root)
    try:
        for parent in {os.path.dirname(one) or b"." for one in made}:
            _sync_parent(parent, None if sync else maildir.tmp_device)
    except OSError:
        maildir.close()
        raise
    return maildir


def _make(path: bytes, made: list[bytes]) -> None:
    path = path.rstrip(b"/")
    parent = os.path.dirname(path)
    if parent and not os.path.isdir(parent):
        _make(parent, made)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
        made.append(path)


def _sync_parent(parent: bytes, covered: int | None) -> None:
    fd = os.open(parent, _OPEN)
    try:
        if os.fstat(fd).st_dev != covered:
            os.fsync(fd)
    finally:
        os.close(fd)
