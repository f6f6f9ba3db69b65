"""Root binds the ports and reads the keys, somebody else does the work; and limits and directories that only root can
set up. What may do what: docs/security.md."""

import ctypes
import os
import pwd
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from fastsmtp.process.errors import StartError

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Identity(NamedTuple):
    """Who the workers are."""

    name: str
    uid: int
    gid: int


def find_user(name: str | None) -> Identity | None:
    """The identity to drop to; None when there is nothing to drop.

    Raises `StartError` (EX_NOUSER) for an unknown user, and (EX_NOPERM) when we are not root and not that
    user already.
    """
    if name is None:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise StartError(
            f'user: there is no user "{name}"; make it (adduser --system --group {name})',
            os.EX_NOUSER,
        ) from None
    if os.geteuid() == entry.pw_uid:
        return None
    if os.geteuid() != 0:
        raise StartError(f'user: only root can become "{name}"; start as root or as that user', os.EX_NOPERM)
    return Identity(name, entry.pw_uid, entry.pw_gid)


def drop(identity: Identity) -> None:
    """Become ``identity`` for good."""
    os.initgroups(identity.name, identity.gid)
    os.setgid(identity.gid)
    os.setuid(identity.uid)


@contextmanager
def acting_as(identity: Identity | None) -> Iterator[None]:
    """Make and open files as ``identity`` for a while: where it could have put a link, root goes no further than it
    could itself. For a process of one thread."""
    if identity is None:
        yield
        return
    groups, gid, uid = os.getgroups(), os.getegid(), os.geteuid()
    try:
        os.initgroups(identity.name, identity.gid)
        os.setegid(identity.gid)
        os.seteuid(identity.uid)
        yield
    finally:
        os.seteuid(uid)
        os.setegid(gid)
        os.setgroups(groups)


def confine(identity: Identity | None) -> None:
    """What a worker is for good: ``identity``, whose memory nobody but root sees; unable to gain rights by executing
    something; making files for its user alone."""
    os.umask(0o077)
    if identity is not None:
        drop(identity)
        keep_memory_private()
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def keep_memory_private() -> None:
    """No core dump, and for nobody but root a look into this process. Changing user ids sets what the kernel thinks
    best, so ask after `drop`."""
    _prctl(_PR_SET_DUMPABLE, 0)


def make_directory(path: Path, key: str, identity: Identity | None) -> None:
    """Make ``path`` with its parents where missing; what is new belongs to ``identity``. Where the way to it is not
    root's alone it is made as ``identity``. What is within is given away first: no way of root's leads through it.

    Raises `StartError` (EX_CANTCREAT) naming the setting ``key``.
    """
    missing = [parent for parent in (path, *path.parents) if not parent.exists()]
    try:
        ours = all(above.lstat().st_uid == os.geteuid() for above in (missing or [path])[-1].parents)
        with acting_as(None if ours else identity):
            for parent in reversed(missing):
                parent.mkdir(mode=0o700 if parent == path else 0o755, exist_ok=True)
            if ours:
                for parent in missing:
                    give(parent, identity)
    except OSError as error:
        raise StartError(
            f"{key}: cannot make {error.filename or path}: {error.strerror}; make it or change the setting",
            os.EX_CANTCREAT,
        ) from None


def give(directory: Path, identity: Identity | None) -> None:
    """Hand a directory that was just made to ``identity``; a link in its place is not followed."""
    if identity is None:
        return
    file = os.open(directory, _DIRECTORY)
    try:
        os.fchown(file, identity.uid, identity.gid)
    finally:
        os.close(file)


def raise_file_limit() -> int:
    """RLIMIT_NOFILE up to its hard limit; returns how many files may be open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):
        pass
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def end_with_parent(parent: int) -> bool:
    """Have the kernel send us SIGTERM when our parent dies; False when ``parent`` is gone already.

    Changing user ids clears the wish, so ask after `drop`.
    """
    _prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    return os.getppid() == parent


def _prctl(option: int, value: int) -> None:
    """prctl(2) with what no Linux of the last ten years refuses."""
    ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)
