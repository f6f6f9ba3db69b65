"""Accounts in a table of a PostgreSQL database that somebody else keeps; it is only read."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fastsmtp.accounts.base import AccountsError
from fastsmtp.accounts.hashing import Cost
from fastsmtp.accounts.passwords import Record
from fastsmtp.accounts.settings import PostgresqlSettings
from fastsmtp.accounts.snapshot import SnapshotNames
from fastsmtp.accounts.sql import Decoys, logins_of, record_of
from fastsmtp.accounts.trouble import Trouble
from fastsmtp.clock import Clock
from fastsmtp.config.errors import SettingsError
from fastsmtp.config.secrets import read_secret
from fastsmtp.defects import describe

_PATIENCE = 5.0
"""Seconds for the answer to one query, connecting included."""
_CONNECTIONS = 2

T = TypeVar("T")


class PostgresqlAccounts(Decoys):
    """The `Records` of a database, for threads; `names` has its logins, read again every `refresh` seconds. ``event``
    gets a line for what is wrong."""

    prepared = False
    immediate = False

    def __init__(
        self,
        settings: PostgresqlSettings,
        home: str,
        cost: Cost,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        event: Callable[[str], None],
    ) -> None:
        super().__init__(cost)
        self.names = SnapshotNames()
        self._settings = settings
        self._home = home
        self._loop = loop
        self._clock = clock
        self._pool: Any = None
        self._opened: asyncio.Task[Any]
        self._reading: asyncio.Task[None] | None = None
        self._due = 0.0
        self._trouble = Trouble(event)

    def start(self) -> None:
        """Raises `AccountsError` when asyncpg is not installed, or the password cannot be read."""
        try:
            import asyncpg
        except ImportError:
            raise AccountsError(
                "accounts.backend: PostgreSQL needs asyncpg; install fastsmtp-mta[postgresql]"
            ) from None
        self._pool = asyncpg.create_pool(
            self._settings.url,
            password=self._password(),
            min_size=0,
            max_size=_CONNECTIONS,
            timeout=_PATIENCE,
            command_timeout=_PATIENCE,
            loop=self._loop,
        )
        self._opened = self._loop.create_task(self._open())  # without a connection yet
        self.tick()

    def _password(self) -> str | None:
        """None: that of the URL, or of where PostgreSQL's clients look for one."""
        settings = self._settings
        if settings.password_file is None:
            return settings.password
        try:
            return read_secret("accounts.postgresql.password_file", settings.password_file)
        except SettingsError as error:
            raise AccountsError(error.problems[0]) from None

    def stop(self) -> None:
        """Close the connections. From another thread than the loop's."""
        if self._pool is not None:
            try:
                asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_PATIENCE)
            except TimeoutError:
                self._pool.terminate()

    def tick(self) -> None:
        """Read the names again when it is time to."""
        now = self._clock.monotonic()
        if self._reading is None and now >= self._due:
            self._due = now + self._settings.refresh
            self._reading = self._loop.create_task(self._refresh())

    def find(self, login: str) -> Record | None:
        """See `Records.find`."""
        coroutine = self._answered(self._row(login))
        try:
            row = asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(2 * _PATIENCE)
        except TimeoutError:
            raise AccountsError("PostgreSQL: no answer in time") from None
        return None if row is None else record_of(login, dict(row))

    async def _row(self, login: str) -> Any:
        async with self._pool.acquire(timeout=_PATIENCE) as connection:
            return await connection.fetchrow(self._settings.login, login)

    async def _logins(self) -> set[str]:
        async with self._pool.acquire(timeout=_PATIENCE) as connection:
            rows = await connection.fetch(self._settings.names)
        return logins_of([row[0] for row in rows], self._home)

    async def _refresh(self) -> None:
        try:
            self.names.replace(await self._answered(self._logins()))
            self._trouble.over()
        except AccountsError as error:
            self._trouble.tell(f"accounts stay as they were: {error}")
        except Exception as error:  # a task that nobody waits for says nothing by itself
            self._trouble.tell(f"accounts stay as they were: {describe(error)}")
        finally:
            self._reading = None

    async def _answered(self, asked: Coroutine[Any, Any, T]) -> T:
        """What ``asked`` gives; when that fails, `AccountsError` without the address, which may hold a password."""
        import asyncpg

        try:
            await asyncio.shield(self._opened)
            return await asked
        except TimeoutError:
            raise AccountsError("PostgreSQL: no answer in time") from None
        except OSError as error:
            raise AccountsError(f"PostgreSQL: {error.strerror or 'cannot be reached'}") from None
        except asyncpg.exceptions.ClientConfigurationError:
            raise AccountsError("PostgreSQL: accounts.postgresql.url is no address of a database") from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise AccountsError(f"PostgreSQL: {type(error).__name__}: {str(error).splitlines()[0]}") from None
        finally:
            asked.close()

    async def _open(self) -> None:
        await self._pool

    async def _close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        await self._pool.close()
