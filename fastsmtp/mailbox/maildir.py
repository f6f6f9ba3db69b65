"""A Maildir: its three directories and the names of its files (https://cr.yp.to/proto/maildir.html).

A file's name is made from the message and the number of the recipient alone, so that it can be made again after
a crash: ``seconds.IDRnumber.host,S=size``. ``S`` is the file's size in bytes, as Maildir++ has it.

No symbolic link below the root of all mailboxes is followed, whenever it is put there: each directory is opened from
the one above it, and files are made, linked and moved by the descriptors of ``tmp`` and ``new``.
"""

import errno
import os
import stat

_FOLDERS = (b"tmp", b"new", b"cur")
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_CANNOT_FOLLOW = (errno.ENOTDIR, errno.ELOOP)


def host_part(hostname: str) -> str:
    """``hostname`` as it may stand in a file name, as the Maildir page has it."""
    return hostname.replace("/", "\\057").replace(":", "\\072")[:64]


def file_name(received_at: float, queue_id: str, recipient: int, host: str, size: int) -> bytes:
    """The name of one recipient's file; ``size`` in bytes as it stands on disk."""
    return f"{int(received_at)}.{queue_id}R{recipient}.{host},S={size}".encode("utf-8", "surrogateescape")


def size_in(name: bytes) -> int:
    """The size in a `file_name`."""
    return int(name.rpartition(b"=")[2])


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
            self.tmp = open_below(root, b"tmp")
            self.new = open_below(root, b"new")
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


def open_maildir(
    path: bytes, root: bytes, mailbox: str = "", *, create: bool = True, sync: bool = False
) -> Maildir:
    """Open the Maildir at ``path``, below ``root``; ``create`` makes what is missing of it (0700), and of its way.

    The way to ``root`` may hold symbolic links, the way from there none. New directories are durable once their file
    system is synced; those on another one than the mailbox, and with ``sync`` all of them, are synced here. Raises
    OSError.
    """
    made: list[int] = []
    held: list[int] = []
    try:
        folder = _open_way(path, root, held, made if create else None)
        if create:
            for name in _FOLDERS:
                _make_below(folder, name, made)
        maildir = Maildir(path, folder, mailbox)
        try:
            for parent in made:
                if sync or os.fstat(parent).st_dev != maildir.tmp_device:
                    os.fsync(parent)
        except OSError:
            maildir.close()
            raise
    finally:
        for file in held:
            os.close(file)
    return maildir


def open_folder(path: bytes, root: bytes) -> int:
    """A descriptor of the directory of the Maildir at ``path``, reached as by `open_maildir`. Raises OSError."""
    held: list[int] = []
    try:
        _open_way(path, root, held, None)
        return held.pop()
    finally:
        for file in held:
            os.close(file)


def _open_way(path: bytes, root: bytes, held: list[int], made: list[int] | None) -> int:
    """Open ``root`` and all the way from there to ``path``, the last of ``held``; with ``made`` make what lacks."""
    folder = _open_root(root, held, made)
    at = root
    for name in path.removeprefix(root).split(b"/"):
        if not name:
            continue
        at += b"/" + name
        folder = _open_or_make(folder, name, at, made)
        held.append(folder)
    return folder


def _open_root(root: bytes, held: list[int], made: list[int] | None) -> int:
    try:
        file = os.open(root, _OPEN)
    except FileNotFoundError:
        if made is None:
            raise
        above, name = os.path.split(os.path.abspath(root))
        _make_below(_open_root(above, held, made), name, made)
        file = os.open(root, _OPEN)
    held.append(file)
    return file


def _open_or_make(folder: int, name: bytes, at: bytes, made: list[int] | None) -> int:
    """Open ``name`` in ``folder``, which ``at`` leads to; with ``made`` make it when it is missing."""
    try:
        try:
            return open_below(folder, name)
        except FileNotFoundError:
            if made is None:
                raise
            _make_below(folder, name, made)
            return open_below(folder, name)
    except OSError as error:
        error.filename = at
        raise


def open_below(folder: int, name: bytes) -> int:
    """A descriptor of the directory ``name`` in ``folder``, unless it is a link. Raises OSError."""
    try:
        return os.open(name, _OPEN | os.O_NOFOLLOW, dir_fd=folder)
    except OSError as error:
        if error.errno in _CANNOT_FOLLOW and _is_link(folder, name):
            raise OSError(errno.ELOOP, "is a symbolic link, which no mail follows", name) from None
        raise


def _is_link(folder: int, name: bytes) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _make_below(folder: int, name: bytes, made: list[int]) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=folder)
    except FileExistsError:
        return
    made.append(folder)
