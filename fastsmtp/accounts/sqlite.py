"""Accounts in a table of an SQLite database that somebody else keeps; it is only read, by the threads of the pool."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from fastsmtp.accounts.base import AccountsError
from fastsmtp.accounts.hashing import Cost
from fastsmtp.accounts.passwords import Record
from fastsmtp.accounts.settings import SqliteSettings
from fastsmtp.accounts.snapshot import SnapshotNames
from fastsmtp.accounts.sql import Decoys, logins_of, record_of
from fastsmtp.accounts.trouble import Trouble
from fastsmtp.pool import ThreadPool

_BUSY = 3.0
"""Seconds to wait for somebody who writes."""


class SqliteAccounts(Decoys):
    """The `Records` of a database; `names` has its logins, read again when somebody has changed it. ``event`` gets a
    line for what is wrong."""

    prepared = False
    immediate = False

    def __init__(
        self,
        settings: SqliteSettings,
        home: str,
        cost: Cost,
        pool: ThreadPool,
        event: Callable[[str], None],
    ) -> None:
        super().__init__(cost)
        self.names = SnapshotNames()
        self._settings = settings
        self._home = home
        self._pool = pool
        self._watch: sqlite3.Connection | None = None
        self._place = (0, 0)
        self._version = -1
        self._reading = False
        self._trouble = Trouble(event)

    def start(self) -> None:
        """Raises `AccountsError`."""
        try:
            self._version = self._data_version()
        except (sqlite3.Error, OSError) as error:
            raise AccountsError(f"{self._settings.file}: {error}") from None
        self.names.replace(self._logins())

    def stop(self) -> None:
        """Close what is open."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def tick(self) -> None:
        """Look whether somebody has changed the database."""
        try:
            version = self._data_version()
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
                self._trouble.tell(f"accounts stay as they were: {self._settings.file}: {error}")
            return
        if version != self._version and not self._reading:
            self._reading = self._pool.submit(self._read, self._have_read, AccountsError)
            if self._reading:
                self._version = version

    def find(self, login: str) -> Record | None:
        """See `Records.find`."""
        with self._asking() as connection:
            connection.row_factory = sqlite3.Row
            row = connection.execute(self._settings.login, (login,)).fetchone()
        return None if row is None else record_of(login, dict(row))

    def _logins(self) -> set[str]:
        with self._asking() as connection:
            rows = connection.execute(self._settings.names).fetchall()
        return logins_of([row[0] for row in rows], self._home)

    def _read(self) -> set[str] | AccountsError:
        try:
            return self._logins()
        except AccountsError as error:
            return error

    def _have_read(self, found: set[str] | AccountsError) -> None:
        self._reading = False
        if isinstance(found, AccountsError):
            self._version = -1
            self._trouble.tell(f"accounts stay as they were: {found}")
        else:
            self._trouble.over()
            self.names.replace(found)

    def _data_version(self) -> int:
        """What changes when somebody else commits, never waiting for him; a file that was put in the place of
        another counts as a change."""
        status = os.stat(self._settings.file)
        place = status.st_dev, status.st_ino
        if self._watch is None or place != self._place:
            self.stop()
            self._watch = self._connect(0, check_same_thread=False)  # it is closed by another thread
            self._place = place
            self._version = -1
        return int(self._watch.execute("PRAGMA data_version").fetchone()[0])

    @contextmanager
    def _asking(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(self._connect()) as connection:
                yield connection
        except sqlite3.Error as error:
            raise AccountsError(f"{self._settings.file}: {error}") from None

    def _connect(self, patience: float = _BUSY, *, check_same_thread: bool = True) -> sqlite3.Connection:
        path = quote(str(Path(self._settings.file).absolute()))
        return sqlite3.connect(
            f"file:{path}?mode=ro", uri=True, timeout=patience, check_same_thread=check_same_thread
        )
