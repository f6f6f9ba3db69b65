"""One master per data directory: a lock that the kernel lets go with the last process that holds it.

The lock is a `flock` on ``data_dir/lock``. Workers inherit it, so it stays held until the last of them has
ended, even when the master was killed: nobody else can open the spool or the port in between.
"""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from fastsmtp.process.errors import StartError

LEFTOVER_WAIT = 10.0
"""Seconds to wait for the workers of a master that is gone; they end by themselves within this time."""


def take_lock(
    data_dir: Path,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Lock ``data_dir`` and leave our pid in the file; returns the descriptor that holds the lock.

    Raises `StartError` with EX_TEMPFAIL when another server runs there, and with EX_CANTCREAT when the file
    cannot be made.
    """
    path = data_dir / "lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(f"cannot write {path}: {error.strerror}; check data_dir", os.EX_CANTCREAT) from None
    deadline = monotonic() + LEFTOVER_WAIT
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            pid = _holder(fd)
            if (pid is not None and _runs(pid)) or monotonic() >= deadline:
                os.close(fd)
                who = f"another fastsmtp (pid {pid})" if pid else "another fastsmtp"
                raise StartError(f"{who} runs on {data_dir}; stop it first", os.EX_TEMPFAIL) from None
            sleep(0.05)
        except OSError as error:
            os.close(fd)
            raise StartError(f"cannot lock {path}: {error.strerror}", os.EX_CANTCREAT) from None
    sign_lock(fd)
    return fd


def sign_lock(fd: int) -> None:
    """Leave our pid in the file of a lock that we hold: commands look there for the master."""
    os.ftruncate(fd, 0)
    os.pwrite(fd, b"%d\n" % os.getpid(), 0)


def signer_runs(fd: int) -> bool:
    """Whether the master whose pid is in the file lives; so is one that has not written it yet."""
    pid = _holder(fd)
    return pid is None or _runs(pid)


def master_lives(data_dir: Path) -> bool:
    """Whether the master that last locked ``data_dir`` lives, as far as may be seen."""
    try:
        fd = os.open(data_dir / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        pid = _holder(fd)
    finally:
        os.close(fd)
    return pid is not None and _runs(pid)


def _holder(fd: int) -> int | None:
    """The pid of the master that took the lock, None while it has not written it."""
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else None


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
