"""``maildirsize``: how much is in a Maildir, in a file that Dovecot's ``maildir`` quota reads and writes too.

The convention is Maildir++'s (https://www.courier-mta.org/imap/README.maildirquota.html). The first line says what
the mailbox may hold, as ``1000S`` (octets) or ``1000S,20C`` (and messages); each further one what was added, or taken
away: ``octets messages``. Whoever adds mail appends one line by one write(2); whoever doubts the sum counts the
Maildir and puts a new file in the place of the old one. Nobody locks: a line that is lost or told twice is mended by
the next count, and who finds no file counts.
"""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from secrets import token_hex

from msgspec import Struct

from fastsmtp.mailbox.maildir import open_below
from fastsmtp.threads import let_in

NAME = b"maildirsize"
LONGEST = 5120
"""Octets; a longer file is to be counted anew."""
STALE = 15 * 60.0
"""Seconds after which a sum that would refuse mail is no longer believed."""
_BESIDE_TMP = b"../" + NAME
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SIZE = re.compile(r",S=(\d+)(?=[,:]|$)")
_NO_BOX = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_TURN = 500
"""Files that are counted before other threads are let in."""


class Usage(Struct, frozen=True, gc=False):
    """What the file says: ``limits`` is its first line, ``size`` octets in ``messages``, by so many ``lines``.
    ``at``: when it was written, in seconds since 1970."""

    limits: bytes
    size: int
    messages: int
    lines: int
    at: float

    def room(self, quota: int, size: int) -> bool:
        """Whether ``size`` octets more, one at least, are within ``quota``."""
        return self.size + max(size, 1) <= quota

    def doubtful(self, quota: int, size: int, now: float) -> bool:
        """Whether the mailbox is to be counted: the file was written for another quota, or it would refuse mail for a
        sum that is old, or that was not counted as a whole."""
        if self.limits != limits_of(quota):
            return True
        return not self.room(quota, size) and (self.lines > 1 or abs(now - self.at) > STALE)


def limits_of(quota: int) -> bytes:
    """The first line for a quota in octets."""
    return b"%dS" % quota


def read(folder: int) -> Usage | None:
    """What the file in ``folder``, a Maildir, says. None when there is none, or when it is to be counted anew
    whatever it says. Raises OSError."""
    try:
        file = os.open(NAME, _READ, dir_fd=folder)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_size > LONGEST:
            return None
        return parse(os.read(file, LONGEST + 1), status.st_mtime)
    finally:
        os.close(file)


def parse(text: bytes, at: float) -> Usage | None:
    """The file's ``text``, written ``at``; None for what is no such file, or is not whole."""
    limits, _, rest = text.partition(b"\n")
    lines = rest.count(b"\n")
    numbers = rest.split()
    if not lines or not rest.endswith(b"\n") or len(numbers) != 2 * lines:
        return None
    try:
        size, messages = sum(map(int, numbers[::2])), sum(map(int, numbers[1::2]))
    except ValueError:
        return None
    return None if size < 0 or messages < 0 else Usage(limits, size, messages, lines, at)


def kept(tmp: int) -> bool:
    """Whether the Maildir whose ``tmp/`` this is has such a file."""
    return os.access(_BESIDE_TMP, os.F_OK, dir_fd=tmp)


def add(tmp: int, size: int, messages: int) -> None:
    """So much was moved into ``new/`` of the Maildir whose ``tmp/`` this is. Never raises: a file that cannot be
    written is taken away, and with it what it says."""
    line = b"%d %d\n" % (size, messages)
    try:
        file = os.open(_BESIDE_TMP, _APPEND, dir_fd=tmp)
        try:
            whole = os.write(file, line) == len(line)
        finally:
            os.close(file)
    except FileNotFoundError:
        return
    except OSError:
        whole = False
    if not whole:
        forget(tmp)


def forget(tmp: int) -> None:
    """Have the Maildir whose ``tmp/`` this is counted by whoever next wants to know. Never raises."""
    with contextlib.suppress(OSError):
        os.unlink(_BESIDE_TMP, dir_fd=tmp)


def count(folder: int, quota: int) -> bool:
    """Count the Maildir ``folder`` with all below it, and write the file anew. False, and nothing is written, when
    mail came or went meanwhile. Takes as long as there are many messages. Raises OSError."""
    stamps = []
    size = messages = 0
    for box in _boxes(folder):
        stamps.append(os.fstat(box).st_mtime_ns)
        in_box = _sizes(box)
        size += sum(in_box)
        messages += len(in_box)
    tmp = open_below(folder, b"tmp")
    try:
        name = b"%s.%d.%s" % (NAME, os.getpid(), token_hex(8).encode())
        file = os.open(name, _CREATE, 0o600, dir_fd=tmp)
        try:
            with open(file, "wb") as out:
                out.write(b"%s\n%d %d\n" % (limits_of(quota), size, messages))
            if [os.fstat(box).st_mtime_ns for box in _boxes(folder)] != stamps:
                return False
            os.rename(name, NAME, src_dir_fd=tmp, dst_dir_fd=folder)
            return True
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=tmp)
    finally:
        os.close(tmp)


def _boxes(folder: int) -> Iterator[int]:
    """``new`` and ``cur`` of the Maildir and of its folders (``.Name``), open one after the other."""
    for name in sorted({".", *(name for name in os.listdir(folder) if name.startswith("."))}):
        for part in (b"new", b"cur"):
            with contextlib.ExitStack() as held:
                try:
                    below = open_below(folder, os.fsencode(name))
                    held.callback(os.close, below)
                    box = open_below(below, part)
                    held.callback(os.close, box)
                except OSError as error:
                    if error.errno not in _NO_BOX:
                        raise
                    continue
                yield box


def _sizes(box: int) -> list[int]:
    """Of all messages of an open directory, in octets: by the name, or else by the file."""
    sizes = []
    for i, name in enumerate(os.listdir(box)):
        if i % _TURN == _TURN - 1:
            let_in()
        if name.startswith("."):
            continue
        told = _SIZE.search(name)
        if told is not None:
            sizes.append(int(told[1]))
            continue
        with contextlib.suppress(FileNotFoundError):
            sizes.append(os.stat(name, dir_fd=box, follow_symlinks=False).st_size)
    return sizes
