"""Each backend by its name in the settings: made, started, logged in to, stopped."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.accounts.backends import Backend, Nobody, make_backend
from fastsmtp.accounts.base import PASSWORD, SCRAM, AccountsError, Identity, Refused, ScramKeys, Unavailable
from fastsmtp.accounts.embedded import EmbeddedAccounts, User
from fastsmtp.accounts.hashing import make_hash
from fastsmtp.accounts.manage import with_password
from fastsmtp.accounts.settings import (
    AccountSettings,
    DovecotSettings,
    HashSettings,
    LdapSettings,
    SqliteSettings,
)
from fastsmtp.clock import SystemClock

CHEAP = HashSettings(memory=8192, passes=1)
ALICE = Identity("alice@example.org")


def embedded(folder: Path) -> AccountSettings:
    settings = AccountSettings(backend="embedded", hash=CHEAP, scram_iterations=4096, login_domain="example.org")
    accounts = EmbeddedAccounts(folder)
    accounts.open()
    user = with_password(User(""), b"secret", settings)
    accounts.change(lambda change: change.put_user("alice@example.org", user))
    accounts.close()
    return settings


def passwd_file(folder: Path) -> AccountSettings:
    file = folder / "passwd"
    file.write_text(f"alice@example.org:{make_hash(b'secret', CHEAP)}\n")
    return AccountSettings(backend="passwd-file", file=str(file), hash=CHEAP, login_domain="example.org")


def sqlite(folder: Path) -> AccountSettings:
    file = folder / "a.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE users (login, password)")
        connection.execute("INSERT INTO users VALUES (?, ?)", (ALICE.login, make_hash(b"secret", CHEAP)))
    return AccountSettings(
        backend="sqlite", sqlite=SqliteSettings(file=str(file)), hash=CHEAP, login_domain="example.org"
    )


def run(settings: AccountSettings, folder: Path, use: Callable[[Backend, Any], Any]) -> list[str]:
    """``use`` a started backend in a loop; what it had to say."""
    said: list[str] = []

    async def inside() -> None:
        loop = asyncio.get_running_loop()
        backend = make_backend(settings, folder, loop, SystemClock(), said.append)
        backend.start()

        async def verify(login: str, password: bytes) -> Any:
            told: asyncio.Future[Any] = loop.create_future()
            verdict = backend.authenticator.verify(login, password, told.set_result)
            return verdict if verdict is not None else await told

        try:
            await use(backend, verify)
        finally:
            await asyncio.to_thread(backend.stop)

    asyncio.run(asyncio.wait_for(inside(), 60))
    return said


@pytest.mark.parametrize("make", [embedded, passwd_file, sqlite])
def test_logging_in(make: Callable[[Path], AccountSettings], tmp_path: Path) -> None:
    async def use(backend: Backend, verify: Any) -> None:
        assert await verify("Alice", b"secret") == ALICE
        assert await verify("alice@example.org", b"secret") == ALICE
        for login, password in (("alice", b"wrong"), ("nobody", b"secret"), ("\0", b"secret")):
            assert isinstance(await verify(login, password), Refused)
        results = await asyncio.gather(*(verify("alice", b"wrong %d" % number) for number in range(200)))
        assert {type(result) for result in results} == {Refused, Unavailable}
        assert await verify("alice", b"secret") == ALICE
        assert backend.names.has_user("alice", "example.org")
        backend.tick()

    assert run(make(tmp_path), tmp_path, use) == []


def test_scram_is_for_the_embedded_ones(tmp_path: Path) -> None:
    async def use(backend: Backend, verify: Any) -> None:
        assert backend.authenticator.mechanisms == PASSWORD | SCRAM
        found = backend.authenticator.scram("alice", print)  # type: ignore[arg-type]
        assert isinstance(found, ScramKeys)
        assert found.identity == ALICE

    run(embedded(tmp_path), tmp_path, use)


def test_nobody_logs_in_to_static_ones(tmp_path: Path) -> None:
    async def use(backend: Backend, verify: Any) -> None:
        assert backend.authenticator.mechanisms == frozenset()
        assert isinstance(await verify("alice", b"secret"), Refused)
        backend.tick()

    run(AccountSettings(), tmp_path, use)
    assert isinstance(Nobody().vouched("alice", print), Refused)
    assert isinstance(Nobody().scram("alice", print), Unavailable)


def test_a_dovecot_that_is_not_there(tmp_path: Path) -> None:
    async def use(backend: Backend, verify: Any) -> None:
        assert isinstance(await verify("alice@example.org", b"secret"), Unavailable)
        assert isinstance(backend.authenticator.vouched("alice", print), Refused)
        assert isinstance(backend.authenticator.scram("alice", print), Unavailable)
        backend.tick()

    settings = AccountSettings(backend="dovecot", dovecot=DovecotSettings(socket=str(tmp_path / "no")))
    run(settings, tmp_path, use)


def test_what_it_is_kept_in_is_not_there(tmp_path: Path) -> None:
    async def use(backend: Backend, verify: Any) -> None:
        raise AssertionError

    settings = AccountSettings(backend="passwd-file", file=str(tmp_path / "no"))
    with pytest.raises(AccountsError, match="No such file"):
        run(settings, tmp_path, use)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"backend": "passwd-file"}, "file: missing"),
        ({"backend": "sqlite"}, "sqlite: missing"),
        ({"backend": "postgresql"}, "postgresql: missing"),
        ({"scram_iterations": 100}, "scram_iterations: "),
        ({"login_domain": "not a domain"}, "login_domain: "),
    ],
)
def test_settings_that_cannot_be_meant(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        AccountSettings(**values)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"url": "ldap://ldap.example.org"}, "in clear"),
        ({"url": "ldap://192.0.2.1"}, "in clear"),
        ({"url": "ldaps://"}, "expected"),
        ({"url": "ldap.example.org"}, "expected"),
    ],
)
def test_ldap_in_clear_is_for_loopback(values: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        LdapSettings(base="dc=x", **values)
    for url in ("ldap://127.0.0.1", "ldap://[::1]:3890", "ldap://localhost", "ldaps://ldap.example.org"):
        LdapSettings(url=url, base="dc=x")
    LdapSettings(url="ldap://ldap.example.org", base="dc=x", starttls=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ldap3")
def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    async def use(backend: Backend, verify: Any) -> None:
        assert isinstance(await verify("alice@example.org", b"secret"), Unavailable)
        assert isinstance(await verify("alice@example.org", b""), Refused)
        assert isinstance(backend.authenticator.scram("alice", print), Unavailable)
        with pytest.raises(AccountsError):
            backend.names.has_user("alice", "example.org")

    ldap = LdapSettings(url="ldap://127.0.0.1:1", base="dc=x")
    [said] = run(AccountSettings(backend="ldap", ldap=ldap), tmp_path, use)
    assert said == "accounts stay as they were: LDAP: LDAPSocketOpenError at ldap://127.0.0.1:1"
