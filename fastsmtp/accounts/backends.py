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
from fastsmtp.accounts.postgresql import PostgresqlAccounts
from fastsmtp.accounts.proofs import Proofs
from fastsmtp.accounts.settings import AccountSettings
from fastsmtp.accounts.sqlite import SqliteAccounts
from fastsmtp.accounts.static import NoNames
from fastsmtp.accounts.trouble import Trouble
from fastsmtp.clock import Clock
from fastsmtp.pool import ThreadPool

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
        self, settings: AccountSettings, data_dir: Path, pool: ThreadPool, proofs: Proofs, event: Event
    ) -> None:
        self._settings = settings
        self._event = event
        self._trouble = Trouble(event)
        self._accounts = embedded(settings, data_dir)
        self.names: Names = self._accounts
        self._pool = pool
        self._proofs = proofs

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
                self._trouble.over()
        except AccountsError as error:
            self._trouble.tell(f"accounts cannot be opened again: {error}")

    def stop(self) -> None:
        """See `Backend.stop`."""
        self._pool.stop()
        self._accounts.close()


class Source(Protocol):
    """What has accounts, and is asked by the threads of a pool."""

    def start(self) -> None:
        """See `Backend.start`."""

    def tick(self) -> None:
        """See `Backend.tick`."""


class PooledBackend:
    """Accounts of ``source``. ``close`` is called when the threads of ``pool`` have ended."""

    def __init__(
        self,
        source: Source,
        names: Names,
        authenticator: Authenticator,
        pool: ThreadPool,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.names = names
        self.authenticator = authenticator
        self.start = source.start
        self.tick = source.tick
        self._pool = pool
        self._close = close

    def stop(self) -> None:
        """See `Backend.stop`."""
        self._pool.stop()
        self._close()


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


def make_backend(
    settings: AccountSettings, data_dir: Path, loop: asyncio.AbstractEventLoop, clock: Clock, event: Event
) -> Backend:
    """The backend that ``settings`` name, for the thread of ``loop``. ``event`` gets a line for what an operator
    should know."""
    cost = settings.hash
    pool = ThreadPool(_THREAD, cost.threads, cost.waiting, loop.call_soon_threadsafe)
    proofs = Proofs(cost.remembered, clock)
    if settings.backend == "embedded":
        return EmbeddedBackend(settings, data_dir, pool, proofs, event)
    if settings.file is not None and settings.backend == "passwd-file":
        file = PasswdFile(Path(settings.file), settings.home, settings.hash, pool, event)
        return PooledBackend(file, file.names, Passwords(file, pool, proofs, home=settings.home), pool)
    if settings.sqlite is not None and settings.backend == "sqlite":
        sqlite = SqliteAccounts(settings.sqlite, settings.home, settings.hash, pool, event)
        passwords = Passwords(sqlite, pool, proofs, home=settings.home)
        return PooledBackend(sqlite, sqlite.names, passwords, pool, sqlite.stop)
    if settings.postgresql is not None and settings.backend == "postgresql":
        postgresql = PostgresqlAccounts(settings.postgresql, settings.home, settings.hash, loop, clock, event)
        passwords = Passwords(postgresql, pool, proofs, home=settings.home)
        return PooledBackend(postgresql, postgresql.names, passwords, pool, postgresql.stop)
    if settings.ldap is not None and settings.backend == "ldap":
        ldap = LdapAccounts(settings.ldap, settings.home, pool, clock, event)
        return PooledBackend(ldap, ldap.names, ldap, pool)
    if settings.backend == "pam":
        pam = PamAccounts(settings.pam, settings.home, pool, clock)
        return PooledBackend(pam, NoNames(), pam, pool)
    if settings.backend == "dovecot":
        return DovecotBackend(settings, loop, clock)
    return StaticBackend()


def embedded(settings: AccountSettings, data_dir: Path) -> EmbeddedAccounts:
    """The embedded accounts of ``data_dir``, not yet open."""
    return EmbeddedAccounts(
        data_dir, decoy=decoy_hash(settings.hash), scram_iterations=settings.scram_iterations or 4096
    )
