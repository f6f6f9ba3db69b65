"""Owners and permissions: of data_dir and what is in it, of mailboxes, keys and control sockets."""

import os
import pwd
import shlex
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from fastsmtp.config.secrets import is_credential
from fastsmtp.control.place import DIRECTORY as CONTROL
from fastsmtp.control.place import reach
from fastsmtp.process.credentials import secret_files
from fastsmtp.process.doctor.finding import Finding
from fastsmtp.process.settings import Settings, mailbox_root

AREA = "permissions"


def look(settings: Settings, file: Path | None) -> Iterator[Finding]:
    """See the module; ``file`` is that of the settings."""
    uid = _uid(settings.user)
    if file is not None:
        yield from _settings_file(file)
    data_dir = settings.data_dir
    if not data_dir.is_dir():
        yield Finding("note", AREA, f"{data_dir} is not there yet; the first start makes it")
    else:
        yield from _private(data_dir, uid)
        for path in sorted((*data_dir.iterdir(), *data_dir.glob("spool/*"))):
            yield from _owned(path, uid)
        yield from _sockets(data_dir / CONTROL)
    root = mailbox_root(settings)
    if root.is_dir():
        yield from _owned(root, uid)
        if root.stat().st_mode & 0o002:
            yield Finding("error", AREA, f"anybody may write {root}", f"chmod o-w {_q(root)}")
    for path in _secrets(settings):
        yield from _secret(path)


def _secrets(settings: Settings) -> list[Path]:
    keys = [one.key for one in settings.tls.certificates]
    named = [name for _, name in secret_files(settings)]
    return [Path(one) for one in (*keys, *named) if not is_credential(one)]


def _uid(user: str | None) -> int | None:
    """Of the server's user; None where that is not known."""
    if user is None:
        return None
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def _settings_file(file: Path) -> Iterator[Finding]:
    mode = file.stat().st_mode
    if mode & 0o002:
        yield Finding("error", AREA, f"anybody may change {file}", f"chmod o-w {_q(file)}")


def _private(path: Path, uid: int | None) -> Iterator[Finding]:
    yield from _owned(path, uid)
    if path.stat().st_mode & 0o077:
        yield Finding("error", AREA, f"others than its owner may enter {path}", f"chmod 700 {_q(path)}")


def _owned(path: Path, uid: int | None) -> Iterator[Finding]:
    """Whether it is the server's user's."""
    try:
        owner = path.lstat().st_uid
    except FileNotFoundError:
        return
    if uid is not None and owner != uid:
        yield Finding(
            "error",
            AREA,
            f"{path} belongs to {_name(owner)}, the server works as {_name(uid)}",
            f"chown -R {_name(uid)}: {_q(path)}",
        )


def _secret(path: Path) -> Iterator[Finding]:
    try:
        state = path.stat()
    except OSError as error:
        yield Finding("error", AREA, f"{path}: {error.strerror}", f"ls -l {_q(path)}")
        return
    if state.st_mode & 0o007:
        yield Finding("error", AREA, f"anybody may read the secret in {path}", f"chmod o= {_q(path)}")
    elif state.st_mode & 0o020:
        yield Finding("warning", AREA, f"its group may change the secret in {path}", f"chmod g-w {_q(path)}")


def _sockets(directory: Path) -> Iterator[Finding]:
    """Control sockets: for their owner alone, and somebody listens."""
    try:
        entries = sorted(directory.iterdir())
    except FileNotFoundError:
        return
    yield from _private(directory, None)
    for path in entries:
        state = path.lstat()
        if not stat.S_ISSOCK(state.st_mode):
            continue
        if state.st_mode & 0o077:
            yield Finding("error", AREA, f"others may ask at {path}", f"chmod 600 {_q(path)}")
        if not _answers(path):
            yield Finding(
                "note", AREA, f"nobody listens at {path}; the next start removes it", f"rm {_q(path)}"
            )


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(2)
        try:
            with reach(path) as name:
                sock.connect(name)
        except ConnectionRefusedError:
            return False
        except OSError:
            return True  # it is not allowed, or busy: somebody is there
    return True


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _q(path: Path) -> str:
    return shlex.quote(os.fspath(path))
