"""The backends of accounts by name: one of them serves a worker."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from fastsmtp.accounts.base import (
    AccountsError,
    Authenticator,
    Names,
    Refused,
    ScramKeys,
    Told,
    Unavailable,
    Verdict,
)
from fastsmtp.accounts.dovecot import DovecotAuthenticator
from fastsmtp.accounts.embedded import EmbeddedAccounts
from fastsmtp.accounts.hashing import decoy_hash
from fastsmtp.accounts.ldap import LdapAccounts
from fastsmtp.accounts.pam import PamAccounts
from fastsmtp.accounts.passwd_file import PasswdFile
from fastsmtp.accounts.passwords import Passwords
from fastsmtp.accounts.pool import Post, ThreadPool
from fastsmtp.accounts.postgresql import PostgresqlAccounts
from fastsmtp.accounts.proofs import Proofs
from fastsmtp.accounts.settings import AccountSettings
from fastsmtp.accounts.sqlite import SqliteAccounts
from fastsmtp.accounts.static import NoNames
from fastsmtp.clock import Clock

_THREAD = "passwords"
Event = Callable[[str], None]


class Backend(Protocol):
    """Who exists, and who may log in. Made before it is needed, started after the fork."""

    @property
    def names(self) -> Names:
        """Who exists beside those in the settings."""

    @property
    def authenticator(self) -> Authenticator:
        """Who may log in."""

    def start(self) -> None:
        """Open what it is kept in. Raises `AccountsError`."""

    def tick(self) -> None:
        """A second has passed."""

    def stop(self) -> None:
        """Close it. May block."""


class Nobody:
    """The `Authenticator` of a server where nobody can log in."""

    mechanisms: frozenset[str] = frozenset()
    _REFUSED = Refused("there are no accounts to log in to")

    def verify(self, login: str, password: bytes, told: Told) -> Verdict | None:
        """See `Authenticator.verify`."""
        return self._REFUSED

    def scram(
        self, login: str, told: Callable[[ScramKeys | Unavailable], None]
    ) -> ScramKeys | Unavailable | None:
        """See `Authenticator.scram`."""
        return Unavailable(self._REFUSED.reason)

    def vouched(self, login: str, told: Told) -> Verdict | None:
        """See `Authenticator.vouched`."""
        return self._REFUSED


class StaticBackend:
    """Those of the settings; nobody can log in."""

    def __init__(self) -> None:
        self.names: Names = NoNames()
        self.authenticator: Authenticator = Nobody()

    def start(self) -> None:
        """See `Backend.start`."""

    def tick(self) -> None:
        """See `Backend.tick`."""

    def stop(self) -> None:
        """See `Backend.stop`."""


class EmbeddedBackend:
    """Accounts in an environment that all workers and the commands share."""

    authenticator: Authenticator

    def __init__(
        self, settings: AccountSettings, data_dir: Path, post: Post, clock: Clock, event: Event
    ) -> None:
        self._settings = settings
        self._event = event
        self._trouble = ""
        self._accounts = embedded(settings, data_dir)
        self.names: Names = self._accounts
        self._pool = hash_pool(settings, post)
        self._proofs = Proofs(settings.hash.remembered, clock)

    def start(self) -> None:
        """See `Backend.start`."""
        self._accounts.open()
        self.authenticator = Passwords(
            self._accounts, self._pool, self._proofs, home=self._settings.home, secret=self._accounts.secret
        )

    def tick(self) -> None:
        """See `Backend.tick`."""
        try:
            if self._accounts.follow():
                self._event("accounts are those of another file now")
                self._trouble = ""
        except AccountsError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._event(f"accounts cannot be opened again: {error}")

    def stop(self) -> None:
        """See `Backend.stop`."""
        self._pool.stop()
        self._accounts.close()


class PasswdFileBackend:
    """Accounts in a file."""

    def __init__(self, settings: AccountSettings, post: Post, clock: Clock, event: Event) -> None:
        assert settings.file is not None
        self._pool = hash_pool(settings, post)
        self._file = PasswdFile(Path(settings.file), settings.home, settings.hash, self._pool, event)
        self.names: Names = self._file.names
        proofs = Proofs(settings.hash.remembered, clock)
        self.authenticator: Authenticator = Passwords(self._file, self._pool, proofs, home=settings.home)

    def start(self) -> None:
        """See `Backend.start`."""
        self._file.start()

    def tick(self) -> None:
        """See `Backend.tick`."""
        self._file.tick()

    def stop(self) -> None:
        """See `Backend.stop`."""
        self._pool.stop()


class SqlBackend:
    """Accounts in ``database``, whose answers take time."""

    def __init__(
        self,
        database: SqliteAccounts | PostgresqlAccounts,
        pool: ThreadPool,
        settings: AccountSettings,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._database = database
        self.names: Names = database.names
        proofs = Proofs(settings.hash.remembered, clock)
        self.authenticator: Authenticator = Passwords(database, pool, proofs, home=settings.home)

    def start(self) -> None:
        """See `Backend.start`."""
        self._database.start()

    def tick(self) -> None:
        """See `Backend.tick`."""
        self._database.tick()

    def stop(self) -> None:
        """See `Backend.stop`."""
        self._pool.stop()
        self._database.stop()


class DovecotBackend:
    """Dovecot has the accounts; who receives mail stands in the settings."""

    def __init__(self, settings: AccountSettings, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self.names: Names = NoNames()
        self._dovecot = DovecotAuthenticator(
            settings.dovecot.socket, settings.home, settings.hash.waiting, loop, clock
        )
        self.authenticator: Authenticator = self._dovecot

    def start(self) -> None:
        """See `Backend.start`."""

    def tick(self) -> None:
        """See `Backend.tick`."""
        self._dovecot.tick()

    def stop(self) -> None:
        """See `Backend.stop`."""
        self._dovecot.stop()


class LdapBackend:
    """Accounts in a directory, which judges passwords itself."""

    def __init__(self, ldap: LdapAccounts, pool: ThreadPool) -> None:
        self._ldap = ldap
        self._pool = pool
        self.names: Names = ldap.names
        self.authenticator: Authenticator = ldap

    def start(self) -> None:
        """See `Backend.start`."""
        self._ldap.start()

    def tick(self) -> None:
        """See `Backend.tick`."""
        self._ldap.tick()

    def stop(self) -> None:
        """See `Backend.stop`."""
        self._pool.stop()


class PamBackend:
    """PAM has the accounts; who receives mail stands in the settings."""

    def __init__(self, pam: PamAccounts, pool: ThreadPool) -> None:
        self._pam = pam
        self._pool = pool
        self.names: Names = NoNames()
        self.authenticator: Authenticator = pam

    def start(self) -> None:
        """See `Backend.start`."""
        self._pam.start()

    def tick(self) -> None:
        """See `Backend.tick`."""
        self._pam.tick()

    def stop(self) -> None:
        """See `Backend.stop`."""
        self._pool.stop()


def make_backend(
    settings: AccountSettings, data_dir: Path, loop: asyncio.AbstractEventLoop, clock: Clock, event: Event
) -> Backend:
    """The backend that ``settings`` name, for the thread of ``loop``. ``event`` gets a line for what an operator
    should know."""
    post = loop.call_soon_threadsafe
    pool = hash_pool(settings, post)
    if settings.backend == "embedded":
        return EmbeddedBackend(settings, data_dir, post, clock, event)
    if settings.backend == "passwd-file":
        return PasswdFileBackend(settings, post, clock, event)
    if settings.sqlite is not None and settings.backend == "sqlite":
        sqlite = SqliteAccounts(settings.sqlite, settings.home, settings.hash, pool, event)
        return SqlBackend(sqlite, pool, settings, clock)
    if settings.postgresql is not None and settings.backend == "postgresql":
        postgresql = PostgresqlAccounts(
            settings.postgresql, settings.home, settings.hash, loop, clock, event
        )
        return SqlBackend(postgresql, pool, settings, clock)
    if settings.ldap is not None and settings.backend == "ldap":
        ldap = LdapAccounts(settings.ldap, settings.home, pool, clock, event)
        return LdapBackend(ldap, pool)
    if settings.backend == "pam":
        return PamBackend(PamAccounts(settings.pam, settings.home, pool, clock), pool)
    if settings.backend == "dovecot":
        return DovecotBackend(settings, loop, clock)
    return StaticBackend()


def embedded(settings: AccountSettings, data_dir: Path) -> EmbeddedAccounts:
    """The embedded accounts of ``data_dir``, not yet open."""
    return EmbeddedAccounts(
        data_dir, decoy=decoy_hash(settings.hash), scram_iterations=settings.scram_iterations or 4096
    )


def hash_pool(settings: AccountSettings, post: Post) -> ThreadPool:
    """Threads as ``settings`` allow."""
    return ThreadPool(_THREAD, settings.hash.threads, settings.hash.waiting, post)
