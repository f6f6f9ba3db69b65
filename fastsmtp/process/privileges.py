"""Root binds the ports, somebody else does the work; and limits and directories that only root can set up."""

import ctypes
import os
import pwd
import resource
import signal
from pathlib import Path
from typing import NamedTuple

from fastsmtp.process.errors import StartError

_PR_SET_PDEATHSIG = 1


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


def make_directory(path: Path, key: str, identity: Identity | None) -> None:
    """Make ``path`` with its parents where missing; what is new belongs to ``identity``.

    Raises `StartError` (EX_CANTCREAT) naming the setting ``key``.
    """
    missing = [parent for parent in (path, *path.parents) if not parent.exists()]
    try:
        for parent in reversed(missing):
            parent.mkdir(mode=0o700 if parent == path else 0o755, exist_ok=True)
            give(parent, identity)
    except OSError as error:
        raise StartError(
            f"{key}: cannot make {error.filename or path}: {error.strerror}; make it or change the setting",
            os.EX_CANTCREAT,
        ) from None


def give(path: Path, identity: Identity | None) -> None:
    """Hand a file or directory to ``identity``."""
    if identity is not None:
        os.chown(path, identity.uid, identity.gid)


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
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    return os.getppid() == parent
