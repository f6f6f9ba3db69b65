"""Hears at once when a file gets its name in a directory: inotify(7)."""

import ctypes
import os

_MOVED_TO = 0x80
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_MOST = 65_536


def watch(directory: str) -> int:
    """A file descriptor that can be read when a file is renamed in ``directory``. Raises OSError, such as when the
    user has too many of them."""
    libc = ctypes.CDLL(None, use_errno=True)
    file = int(libc.inotify_init1(_FLAGS))
    if file < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if libc.inotify_add_watch(file, os.fsencode(directory), _MOVED_TO) < 0:
        number = ctypes.get_errno()
        os.close(file)
        raise OSError(number, os.strerror(number))
    return file


def drain(file: int) -> None:
    """Take what has happened: the directory is looked through anyway."""
    try:
        while len(os.read(file, _MOST)) == _MOST:
            pass
    except BlockingIOError:
        pass
