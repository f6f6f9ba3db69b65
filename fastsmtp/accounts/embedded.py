"""Accounts, domains and aliases in an LMDB environment of their own, ``data_dir/accounts``.

Every worker maps it, and reads it for each answer: what `fastsmtp user` commits counts at once, everywhere. Names are
canonical throughout. LMDB lets one process write at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from secrets import token_bytes
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from fastsmtp.accounts.base import AccountsError, Identity, ScramKeys
from fastsmtp.accounts.passwords import Record
from fastsmtp.store import Migration, StorageError, Store, StoreError

DIRECTORY = "accounts"
FORMAT = 1
MIGRATIONS: dict[int, Migration] = {}
"""By the format it starts from: what leads to the next one (docs/formats.md)."""
_MAP_SIZE = 4 << 30  # of address space; the file is as large as what is in it
_USERS, _DOMAINS, _ALIASES, _SECRETS = _DATABASES = (b"users", b"domains", b"aliases", b"secrets")
_SCRAM = b"scram"
_LONGEST_KEY = 500  # LMDB takes 511

T = TypeVar("T")


class User(Struct, frozen=True, array_like=True, gc=False):
    """One account as it is stored. ``quota`` is in bytes, 0: none."""

    password: str
    quota: int = 0
    disabled: bool = False
    senders: tuple[str, ...] = ()
    salt: bytes = b""
    iterations: int = 0
    stored_key: bytes = b""
    server_key: bytes = b""

    def __repr__(self) -> str:
        return f"User(quota={self.quota}, disabled={self.disabled}, senders={self.senders!r})"

    def record(self, login: str) -> Record:
        """The account as it is asked for."""
        keys = None
        if self.iterations:
            identity = Identity(login)
            keys = ScramKeys(self.salt, self.iterations, self.stored_key, self.server_key, identity)
        return Record(login, self.password, self.disabled, (), keys)


class EmbeddedAccounts:
    """See the module: `Names` and `Records` of the workers, and what the commands change. `open` it after the fork.
    ``decoy``: a hash that costs as much as one of a new password."""

    prepared = True
    immediate = True

    def __init__(self, data_dir: Path, *, decoy: str = "", scram_iterations: int = 0) -> None:
        self._store = Store(
            data_dir / DIRECTORY,
            _DATABASES,
            format_number=FORMAT,
            map_size=_MAP_SIZE,
            shared=True,
            migrations=MIGRATIONS,
        )
        self._decoy = User(decoy, iterations=scram_iterations)
        self._openings = 0
        self._domains_at = -1
        self._first = ""
        self._international = False
        self.secret = b""

    def open(self) -> None:
        """Raises `AccountsError`."""
        try:
            self._store.open()
            if self._store.outdated:
                self._migrate()
        except StoreError as error:
            raise AccountsError(str(error)) from None
        self._store.forget_the_dead()
        self.secret = self._once(lambda txn: _get(txn, self._store.db[_SECRETS], _SCRAM)) or self.change(
            self._make_secret
        )

    def _migrate(self) -> None:
        try:
            with self._failing():
                self._store.migrate()
        except BaseException:
            self.close()
            raise

    def follow(self) -> bool:
        """Open again what was put in the place of what is open, such as a backup; whether there was such. Raises
        `AccountsError`."""
        if self._store.is_open and not self._store.replaced():
            return False
        self.close()
        self.open()
        self._openings += 1
        return True

    def close(self) -> None:
        """Give the environment back."""
        self._store.close()

    def copy(self, file: int) -> None:
        """Write all as it is now into ``file``, while others go on. Raises `AccountsError`."""
        with self._failing():
            txn = self._store.begin_copy(lambda: None)
            try:
                self._store.copy(txn, file)
            finally:
                self._store.end_copy(txn)

    # --- `Names` ------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """See `Names.version`."""
        try:
            return (self._openings << 64) + self._store.last_change()
        except StorageError as error:
            raise AccountsError(str(error)) from None

    @property
    def first_domain(self) -> str:
        """See `Names.first_domain`."""
        self._look_at_domains()
        return self._first

    @property
    def international(self) -> bool:
        """See `Names.international`."""
        self._look_at_domains()
        return self._international

    def has_domain(self, domain: str) -> bool:
        """See `Names.has_domain`."""
        return self._get(_DOMAINS, domain) is not None

    def has_user(self, local: str, domain: str) -> bool:
        """See `Names.has_user`."""
        return self._get(_USERS, f"{local}@{domain}") is not None

    def alias(self, local: str, domain: str) -> Sequence[str] | None:
        """See `Names.alias`."""
        found = self._get(_ALIASES, f"{local}@{domain}")
        return None if found is None else msgspec.msgpack.decode(found, type=tuple[str, ...])

    def quota(self, mailbox: str) -> int:
        """See `Names.quota`."""
        user = self.user(mailbox)
        return user.quota if user is not None else 0

    def senders(self, login: str) -> Sequence[str]:
        """See `Names.senders`."""
        user = self.user(login)
        return user.senders if user is not None else ()

    def disabled(self, login: str) -> bool:
        """See `Names.disabled`."""
        user = self.user(login)
        return user is None or user.disabled

    def _look_at_domains(self) -> None:
        version = self.version
        if version != self._domains_at:
            domains = self.domains()
            self._first = min(domains, default="")
            self._international = any("xn--" in domain for domain in domains)
            self._domains_at = version

    # --- `Records` ----------------------------------------------------------------------------

    def find(self, login: str) -> Record | None:
        """See `Records.find`."""
        user = self.user(login)
        return None if user is None else user.record(login)

    def decoy(self, login: str) -> Record:
        """See `Records.decoy`: the account that is next in order, so that a cost that was changed does not tell who
        exists."""

        def after(txn: Any) -> bytes | None:
            with txn.cursor(db=self._store.db[_USERS]) as cursor:
                return bytes(cursor.value()) if cursor.set_range(_key(login)) or cursor.first() else None

        found = self._once(after)
        user = self._decoy if found is None else msgspec.msgpack.decode(found, type=User)
        return user.record(login)

    # --- what the commands read ---------------------------------------------------------------

    def user(self, login: str) -> User | None:
        """The account ``login``."""
        found = self._get(_USERS, login)
        return None if found is None else msgspec.msgpack.decode(found, type=User)

    def users(self, after: str = "", limit: int | None = None) -> dict[str, User]:
        """Accounts in the order of their logins, ``limit`` of them that come behind ``after``; as a rule all."""
        found = self._all(_USERS, after, limit)
        return {login: msgspec.msgpack.decode(value, type=User) for login, value in found}

    def domains(self) -> list[str]:
        """All domains in their order."""
        return [domain for domain, _ in self._all(_DOMAINS)]

    def aliases(self, after: str = "", limit: int | None = None) -> dict[str, tuple[str, ...]]:
        """Aliases in the order of their addresses; see `users`."""
        found = self._all(_ALIASES, after, limit)
        return {name: msgspec.msgpack.decode(value, type=tuple[str, ...]) for name, value in found}

    # --- what they change ---------------------------------------------------------------------

    def change(self, work: Callable[["Change"], T]) -> T:
        """What ``work`` gives, which changes all or, when it raises, nothing. On stable storage when this returns.
        Raises `AccountsError`, and what ``work`` does."""
        with self._failing(), self._store.write() as txn:
            return work(Change(txn, self._store.db))

    def _make_secret(self, change: "Change") -> bytes:
        return change.once(_SECRETS, _SCRAM, token_bytes(32))

    # --- reading ------------------------------------------------------------------------------

    def _get(self, database: bytes, name: str) -> bytes | None:
        key = _key(name)
        return self._once(lambda txn: _get(txn, self._store.db[database], key))

    def _all(self, database: bytes, after: str = "", limit: int | None = None) -> list[tuple[str, bytes]]:
        start = after.encode("utf-8", "surrogatepass")

        def read(txn: Any) -> list[tuple[str, bytes]]:
            with txn.cursor(db=self._store.db[database]) as cursor:
                if start and not cursor.set_range(start[:_LONGEST_KEY]):
                    return []
                behind = (row for row in cursor if bytes(row[0]) != start)
                return [(bytes(key).decode(), bytes(value)) for key, value in islice(behind, limit)]

        return self._once(read)

    def _once(self, look: Callable[[Any], T]) -> T:
        with self._failing(), self._store.read() as txn:
            return look(txn)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except StorageError as error:
            raise AccountsError(f"{self._store.path}: {error}") from None


class Change:
    """One transaction that writes. Names are canonical; what they must not be, such as too long, the caller has
    looked at."""

    def __init__(self, txn: Any, databases: dict[bytes, Any]) -> None:
        self._txn = txn
        self._db = databases

    def user(self, login: str) -> User | None:
        """The account ``login`` as it is now."""
        found = _get(self._txn, self._db[_USERS], _key(login))
        return None if found is None else msgspec.msgpack.decode(found, type=User)

    def put_user(self, login: str, user: User) -> None:
        """Make or replace an account."""
        self._txn.put(_key(login), msgspec.msgpack.encode(user), db=self._db[_USERS])

    def remove_user(self, login: str) -> bool:
        """Whether there was one."""
        return bool(self._txn.delete(_key(login), db=self._db[_USERS]))

    def put_domain(self, domain: str) -> bool:
        """Whether it is new."""
        return bool(self._txn.put(_key(domain), b"", db=self._db[_DOMAINS], overwrite=False))

    def remove_domain(self, domain: str) -> bool:
        """Whether there was one."""
        return bool(self._txn.delete(_key(domain), db=self._db[_DOMAINS]))

    def in_domain(self, domain: str) -> tuple[list[str], list[str]]:
        """The accounts, and the aliases, of ``domain``."""
        end = f"@{domain}".encode()
        users, aliases = (
            [name.decode() for name, _ in self._txn.cursor(db=self._db[database]) if name.endswith(end)]
            for database in (_USERS, _ALIASES)
        )
        return users, aliases

    def alias(self, name: str) -> tuple[str, ...] | None:
        """What ``name`` stands for now."""
        found = _get(self._txn, self._db[_ALIASES], _key(name))
        return None if found is None else msgspec.msgpack.decode(found, type=tuple[str, ...])

    def put_alias(self, name: str, members: Sequence[str]) -> None:
        """Make or replace an alias."""
        self._txn.put(_key(name), msgspec.msgpack.encode(tuple(members)), db=self._db[_ALIASES])

    def remove_alias(self, name: str) -> bool:
        """Whether there was one."""
        return bool(self._txn.delete(_key(name), db=self._db[_ALIASES]))

    def once(self, database: bytes, key: bytes, value: bytes) -> bytes:
        """The value there, which is ``value`` if there was none."""
        self._txn.put(key, value, db=self._db[database], overwrite=False)
        return bytes(self._txn.get(key, db=self._db[database]))


def _key(name: str) -> bytes:
    """Of what is too long to be a name here, a key that nothing has."""
    key = name.encode("utf-8", "surrogatepass")
    return key if 0 < len(key) <= _LONGEST_KEY else b"\0"


def _get(txn: Any, database: Any, key: bytes) -> bytes | None:
    found = txn.get(key, db=database)
    return None if found is None else bytes(found)
