"""Puts one message into the maildrop: whole and on stable storage before it has the name by which it is taken.

Whoever drops mail may make files in the directory but not look into it, so that its own sync is not to be had: the
file is synced again after it was named, which on the file systems of Linux brings the name with it.
"""

import os

from fastsmtp.maildrop.form import EIGHT, MARK, Drop, encoded

PART = "part-"
"""What the name of a file begins with that is not complete."""
_RESERVE = 16 << 20
"""Octets that are left free on the disk."""


class TooLarge(Exception):
    """The message has more octets than the server takes."""


class Dropping:
    """A message on its way into ``directory``. ``most`` octets are taken, 0: any number. Raises OSError."""

    def __init__(self, directory: str, drop: Drop, most: int = 0) -> None:
        self.name = os.urandom(16).hex()
        """By which it is taken: nobody can guess it."""
        self._part = os.path.join(directory, PART + self.name)
        self._whole = os.path.join(directory, self.name)
        self._most = most
        self.size = 0
        """Octets of the message so far."""
        self._eight_bit = drop.eight_bit
        head = encoded(drop)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        # The group is that of the directory, by its setgid bit: the server's.
        self._file = os.open(self._part, flags, 0o640)
        try:
            os.fchmod(self._file, 0o640)  # whatever the umask
            _write(self._file, head)
        except BaseException:
            self.abort()
            raise

    def write(self, piece: bytes) -> None:
        """The next octets of the message. Raises `TooLarge`, OSError."""
        self.size += len(piece)
        if self._most and self.size > self._most:
            raise TooLarge
        if not self._eight_bit and not piece.isascii():
            self._eight_bit = True
        _write(self._file, piece)

    def commit(self) -> None:
        """It is complete: when this returns it survives a power cut. Raises OSError; nothing is left then."""
        try:
            if self._eight_bit:
                os.pwrite(self._file, EIGHT, MARK)
            os.fsync(self._file)
            os.rename(self._part, self._whole)
        except BaseException:
            self.abort()
            raise
        try:
            os.fsync(self._file)
        finally:
            os.close(self._file)
            self._file = -1

    def abort(self) -> None:
        """Nothing comes of it."""
        if self._file < 0:
            return
        os.close(self._file)
        self._file = -1
        try:
            os.unlink(self._part)
        except OSError:
            pass  # the server removes what was left half-way


def room(directory: str) -> bool:
    """Whether the disk has room for more mail. Raises OSError."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize > _RESERVE


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
