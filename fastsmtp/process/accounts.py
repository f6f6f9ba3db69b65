"""The accounts for whoever is not a worker: commands that change them, and commands that only look."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastsmtp.accounts.backends import embedded
from fastsmtp.accounts.base import AccountsError, Names
from fastsmtp.accounts.embedded import DIRECTORY, EmbeddedAccounts
from fastsmtp.accounts.pam import find_service, load
from fastsmtp.accounts.passwd_file import read
from fastsmtp.process.privileges import Identity, acting_as, drop, find_user, make_directory
from fastsmtp.process.settings import Settings


@contextmanager
def managed(settings: Settings, *, for_good: bool = True) -> Iterator[EmbeddedAccounts]:
    """The embedded accounts, to be changed, whether the server runs or not. Root becomes the server's user, or
    whoever has ``data_dir``: what is made there is to be his; not ``for_good``: only meanwhile. Raises
    `AccountsError`, `StartError`."""
    identity = find_user(settings.user)
    make_directory(settings.data_dir, "data_dir", identity)
    if identity is None and os.geteuid() == 0:
        identity = _owner(settings)
    if identity is not None and for_good:
        drop(identity)
    with acting_as(None if for_good else identity):
        accounts = embedded(settings.accounts, settings.data_dir)
        accounts.open()
        try:
            yield accounts
        finally:
            accounts.close()


def names_for_asking(settings: Settings) -> tuple[Names | None, str]:
    """Who exists by the backend, and what keeps it from being told. Nothing is made where nothing is."""
    if settings.accounts.backend != "embedded" or not (settings.data_dir / DIRECTORY / "data.mdb").exists():
        return None, ""
    accounts = embedded(settings.accounts, settings.data_dir)
    try:
        accounts.open()
    except AccountsError as error:
        return None, str(error)
    return accounts, ""


def accounts_problem(settings: Settings) -> str:
    """What keeps the accounts from being read, where it can be told without a server; else empty."""
    accounts = settings.accounts
    try:
        if accounts.backend == "passwd-file" and accounts.file is not None:
            read(Path(accounts.file), accounts.home)
        elif accounts.backend == "sqlite" and accounts.sqlite is not None:
            Path(accounts.sqlite.file).open("rb").close()
        elif accounts.backend == "pam":
            load()
            find_service(accounts.pam.service)
    except AccountsError as error:
        return f"accounts.file: {error}" if accounts.backend == "passwd-file" else str(error)
    except OSError as error:
        return f"accounts.sqlite.file: {error.filename}: {error.strerror}"
    return ""


def _owner(settings: Settings) -> Identity | None:
    status = settings.data_dir.stat()
    if status.st_uid == 0:
        return None
    try:
        name = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        name = str(status.st_uid)
    return Identity(name, status.st_uid, status.st_gid)
