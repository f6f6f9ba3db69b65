"""Whether this machine can run with the settings: the user, the core, directories, addresses. Nothing stays
behind."""

import contextlib
import errno
import os
import pwd
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fastsmtp.config.errors import SettingsError
from fastsmtp.config.secrets import is_credential, read_secret
from fastsmtp.limits.marks import available_mark, disk_marks, of_disk
from fastsmtp.limits.probes import available_memory, space
from fastsmtp.process.accounts import accounts_problem
from fastsmtp.process.credentials import Credentials, secret_files
from fastsmtp.process.errors import StartError
from fastsmtp.process.privileges import Identity, acting_as, find_user
from fastsmtp.process.routing import SettingsSource
from fastsmtp.process.settings import Settings, existing, mailbox_root, watched_places
from fastsmtp.process.sockets import probe
from fastsmtp.tls.pair import CertificateError
from fastsmtp.tls.settings import TlsSettings
from fastsmtp.tls.store import CertificateStore

_FLAG = memoryview(bytes(1))
"""Of marks that are asked once: not crossed before."""


def machine_problems(settings: Settings) -> list[str]:
    """What this machine lacks for the settings, one line each: the user, the core, directories that can be
    written, and files of passwords and of routing that can be read."""
    problems = []
    uid, groups = os.geteuid(), {os.getegid(), *os.getgroups()}
    identity = None
    try:
        identity = find_user(settings.user)
        if identity is not None:
            uid, groups = identity.uid, set(os.getgrouplist(identity.name, identity.gid))
    except StartError as error:
        if error.code == os.EX_NOUSER:
            return [str(error)]
        problems.append(str(error))
    try:
        import fastsmtp._core  # noqa: F401
    except ImportError as error:
        problems.append(str(error))
    for key, path in (("data_dir", settings.data_dir), ("mailboxes.path", mailbox_root(settings))):
        problem = _not_writable(path, uid, groups, identity)
        if problem:
            problems.append(f"{key}: {problem}")
    problems += _secret_problems(settings, identity) + _worker_problems(settings, identity)
    problems += tls_problems(settings.tls) + web_problems(settings)
    return list(dict.fromkeys(problems))


def _secret_problems(settings: Settings, identity: Identity | None) -> list[str]:
    """Files of passwords that cannot be read: those of systemd by the master, all others by ``identity``."""
    problems: list[str] = []
    for key, file in secret_files(settings):
        reader = None if is_credential(file) else identity
        try:
            with acting_as(reader):
                read_secret(key, file)
        except SettingsError as error:
            problems += _read_by(reader, error.problems)
    return problems


def _worker_problems(settings: Settings, identity: Identity | None) -> list[str]:
    """Files of accounts and of routing that the workers, who are ``identity``, cannot use."""
    problems = []
    try:
        settings = Credentials(settings).fill(settings)
        problem = accounts_problem(
            settings
        )  # first as we are: a backend's library is loaded before root is given up
        with acting_as(identity):
            problem = problem or accounts_problem(settings)
            if problem:
                problems.append(problem)
            SettingsSource(None, settings, None).load()
    except StartError as error:
        problems.append(str(error))
    except SettingsError as error:
        problems += error.problems
    return _read_by(identity, problems)


def _read_by(identity: Identity | None, problems: Sequence[str]) -> list[str]:
    """``problems``, and where something may not be read who wants to."""
    who = f' to user "{identity.name}"; chown or chmod it' if identity is not None else ""
    denied = os.strerror(errno.EACCES)
    return [problem + who if problem.endswith(denied) else problem for problem in problems]


def web_problems(settings: Settings) -> list[str]:
    """Why HTTP and webhooks cannot be served, one line each."""
    if settings.http.address is None and not settings.webhooks:
        return []
    try:
        from fastsmtp.process.web import problems
    except ImportError:
        return []  # the compiled core is missing, which is told already
    return problems(settings)


def tls_problems(settings: TlsSettings) -> list[str]:
    """Why certificates or keys cannot be used, one line each."""
    if not settings.certificates:
        return []
    from fastsmtp.tls.files import read_all

    pairs, problems = read_all(settings)
    try:
        CertificateStore(settings, pairs)
    except CertificateError as error:
        problems.append(f"tls: {error}")
    return problems


def tls_notes(settings: TlsSettings, now: float) -> list[str]:
    """What is wrong with certificates that can be used; ``now`` in seconds since 1970."""
    if not settings.certificates:
        return []
    from fastsmtp.tls.files import date_notes, idle_notes, read_all

    pairs, _ = read_all(settings)
    return date_notes(pairs, now) + idle_notes(pairs)


def listener_problems(settings: Settings) -> tuple[list[str], list[str]]:
    """What keeps the listeners from being bound: problems, and as notes what may have passed until the start,
    such as a port in use. Each listener is bound for a moment; nothing is accepted."""
    problems, notes = [], []
    wanted = [(f"listeners[{i}]", listener.endpoint) for i, listener in enumerate(settings.listeners)]
    if settings.http.endpoint is not None:
        wanted.append(("http", settings.http.endpoint))
    for key, endpoint in wanted:
        try:
            probe(endpoint)
        except StartError as error:
            if error.code == os.EX_TEMPFAIL:
                notes.append(f"{key}.address: somebody listens on {endpoint} now")
            else:
                problems.append(f"{key}.address: {error}")
    return problems, notes


def maildrop_notes(settings: Settings) -> list[str]:
    """What the maildrop needs for each message to come in once."""
    if settings.maildrop.path is None or settings.ledger.enabled:
        return []
    return [
        "maildrop.path: with ledger.enabled = false a message that is being taken when the server is killed "
        "comes in twice"
    ]


def pressure_notes(settings: Settings) -> list[str]:
    """The marks of ``[pressure]`` that are crossed before the server has begun."""
    notes = []
    for path in watched_places(settings):
        for mark in disk_marks(settings.pressure, path, _FLAG, _FLAG):
            value = of_disk(mark, space(existing(path)))
            if value is not None and mark.short(value):
                notes.append(mark.story(value))
    mark_of_memory = available_mark(settings.pressure, _FLAG)
    if mark_of_memory is not None:
        with contextlib.suppress(OSError, ValueError):  # a machine that does not tell is not watched
            available = available_memory()
            if mark_of_memory.short(available):
                notes.append(mark_of_memory.story(available))
    return notes


def _not_writable(path: Path, uid: int, groups: set[int], identity: Identity | None) -> str | None:
    """Why ``path`` cannot be written or made by ``uid``, who is ``identity`` when root becomes another; in words, and
    None when it can."""
    place = existing(path)
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        return f"{place} is on a read-only file system"
    if not place.is_dir():
        return f"{place} is no directory"
    made_by_root = place != path and os.geteuid() == 0  # and given to the user
    status = place.stat()
    shift = 6 if status.st_uid == uid else 3 if status.st_gid in groups else 0
    if uid != 0 and not made_by_root and status.st_mode >> shift & 0o3 != 0o3:
        what = "is not writable" if place == path else f"cannot be made, {place} is not writable"
        return f"{path} {what} for {_name(uid)}; change its owner, or the setting"
    try:
        with acting_as(None if made_by_root else identity):
            os.rmdir(tempfile.mkdtemp(prefix=".fastsmtp-check-", dir=place))
    except OSError as error:
        return f"nothing can be made in {place}: {error.strerror}; change the setting"
    return None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
