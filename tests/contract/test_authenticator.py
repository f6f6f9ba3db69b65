"""What every authenticator promises: who is let in, who is not, and that nothing a client sends raises."""

import asyncio
import base64
import hashlib
import hmac
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.accounts.backends import make_backend
from fastsmtp.accounts.base import (
    PASSWORD,
    SCRAM,
    Authenticator,
    Identity,
    Refused,
    ScramKeys,
)
from fastsmtp.accounts.embedded import EmbeddedAccounts, User
from fastsmtp.accounts.hashing import make_hash
from fastsmtp.accounts.manage import with_password
from fastsmtp.accounts.settings import AccountSettings, HashSettings, SqliteSettings
from fastsmtp.clock import SystemClock
from fastsmtp.sasl.client import Credentials, Scram
from tests.fakes.accounts import FakeAuthenticator

CHEAP = HashSettings(memory=8192, passes=1)
HOME = "example.org"
ALICE = Identity("alice@example.org")
HASH = make_hash(b"secret", CHEAP)


def fake(folder: Path) -> FakeAuthenticator:
    made = FakeAuthenticator({"alice@example.org": "secret", "off@example.org": "secret"}, home=HOME)
    made.disabled.add("off@example.org")
    return made


def embedded(folder: Path) -> AccountSettings:
    settings = AccountSettings(backend="embedded", hash=CHEAP, login_domain=HOME, scram_iterations=4096)
    accounts = EmbeddedAccounts(folder)
    accounts.open()
    for name, disabled in (("alice", False), ("off", True)):
        user = with_password(User("", disabled=disabled), b"secret", settings)
        accounts.change(lambda change, name=name, user=user: change.put_user(f"{name}@example.org", user))
    accounts.close()
    return settings


def passwd_file(folder: Path) -> AccountSettings:
    file = folder / "passwd"
    file.write_text(f"alice@example.org:{HASH}\noff@example.org:{HASH}::::::nologin\n")
    return AccountSettings(backend="passwd-file", file=str(file), hash=CHEAP, login_domain=HOME)


def sqlite(folder: Path) -> AccountSettings:
    file = str(folder / "a.db")
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE users (login, password, disabled)")
        connection.execute("INSERT INTO users VALUES ('alice@example.org', ?, 0)", (HASH,))
        connection.execute("INSERT INTO users VALUES ('off@example.org', ?, 1)", (HASH,))
    login = "SELECT password, disabled FROM users WHERE login = ?"
    settings = SqliteSettings(file=file, login=login)
    return AccountSettings(backend="sqlite", sqlite=settings, hash=CHEAP, login_domain=HOME)


Make = Callable[[Path], FakeAuthenticator | AccountSettings]
Use = Callable[[Authenticator, Callable[..., Any]], Awaitable[None]]


@pytest.fixture(params=[fake, embedded, passwd_file, sqlite])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


def use(make: Make, folder: Path, work: Use) -> None:
    """``work`` with the authenticator and a function that waits for what one of its methods tells."""

    async def run() -> None:
        loop = asyncio.get_running_loop()

        async def answer(method: Callable[..., Any], *values: Any) -> Any:
            told: asyncio.Future[Any] = loop.create_future()
            verdict = method(*values, told.set_result)
            return await told if verdict is None else verdict

        made = make(folder)
        if not isinstance(made, AccountSettings):
            await work(made, answer)
            return
        backend = make_backend(made, folder, loop, SystemClock(), print)
        backend.start()
        try:
            await work(backend.authenticator, answer)
        finally:
            await asyncio.to_thread(backend.stop)

    asyncio.run(asyncio.wait_for(run(), 60))


def test_who_is_let_in(make: Make, tmp_path: Path) -> None:
    async def work(one: Authenticator, answer: Callable[..., Any]) -> None:
        for login in ("alice@example.org", "ALICE@Example.ORG.", "alice", "\uff21lice"):
            assert await answer(one.verify, login, b"secret") == ALICE
            assert await answer(one.vouched, login) == ALICE

    use(make, tmp_path, work)


def test_who_is_not(make: Make, tmp_path: Path) -> None:
    async def work(one: Authenticator, answer: Callable[..., Any]) -> None:
        for login, password in (
            ("alice", b"wrong"),
            ("alice", b"secret "),
            ("alice", b"\xff\xfe"),
            ("alice", b""),
            ("alice", b"secret\0"),
            ("alice", b"x" * (1 << 20)),
            ("off", b"secret"),
            ("nobody", b"secret"),
            ("alice@example.com", b"secret"),
            ("", b"secret"),
            ("alice\0", b"secret"),
            ("\udcff", b"secret"),
            ("x" * (1 << 20), b"secret"),
        ):
            assert isinstance(await answer(one.verify, login, password), Refused), (login[:20], password[:20])
        for login in ("off", "nobody", "", "\0", "\udcff"):
            assert isinstance(await answer(one.vouched, login), Refused)

    use(make, tmp_path, work)


def test_a_client_proves_its_password_without_showing_it(make: Make, tmp_path: Path) -> None:
    async def work(one: Authenticator, answer: Callable[..., Any]) -> None:
        if not one.mechanisms & SCRAM:
            assert one.mechanisms == PASSWORD
            return
        keys = await answer(one.scram, "Alice")
        assert keys.identity == ALICE
        assert proves(keys, "secret")
        assert not proves(keys, "wrong")
        for login in ("nobody", "off", "\0", "\udcff"):
            made_up = await answer(one.scram, login)
            assert made_up.identity is None
            assert made_up.iterations == keys.iterations
            assert len(made_up.salt) == len(keys.salt)
            assert made_up == await answer(one.scram, login)
            assert not proves(made_up, "secret")

    use(make, tmp_path, work)


def proves(keys: ScramKeys, password: str) -> bool:
    """Whether a client that knows ``password`` is believed by a server that has ``keys`` (RFC 5802 §3)."""
    client = Scram(Credentials("alice", password=password), "nonce")
    bare = client.start()
    assert bare is not None
    first = f"r=nonce-more,s={base64.b64encode(keys.salt).decode()},i={keys.iterations}"
    assert client.step(first.encode()) is None
    without, _, proof = client.work().rpartition(b",p=")
    message = bare.removeprefix(b"n,,") + b"," + first.encode() + b"," + without
    signature = hmac.digest(keys.stored_key, message, "sha256")
    key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature, strict=True))
    return hashlib.sha256(key).digest() == keys.stored_key
