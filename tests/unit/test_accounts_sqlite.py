"""Accounts in SQLite: read only, followed when somebody changes them, and never waited for on the loop."""

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastsmtp.accounts.base import AccountsError
from fastsmtp.accounts.settings import SqliteSettings
from fastsmtp.accounts.sqlite import SqliteAccounts
from tests.fakes.accounts import FakePool

CHEAP = SimpleNamespace(memory=64, passes=1)


class Bench:
    def __init__(self, file: Path, **settings: str) -> None:
        self.file = file
        self.pool = FakePool()
        self.said: list[str] = []
        self.accounts = SqliteAccounts(
            SqliteSettings(file=str(file), **settings),
            "",
            CHEAP,
            self.pool,  # type: ignore[arg-type]
            self.said.append,
        )

    def run(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.file)) as connection, connection:
            connection.execute(statement, values)

    def tick(self) -> int:
        self.accounts.tick()
        return self.pool.work()


def make(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE users (login TEXT PRIMARY KEY, password TEXT, off INT, more TEXT)")
        connection.execute("INSERT INTO users VALUES ('alice@example.org', '$a$', 0, '@far.test')")
        connection.execute("INSERT INTO users VALUES ('bob@example.org', '$b$', 1, NULL)")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    file = tmp_path / "odd ? name.db"
    make(file)
    bench = Bench(file, login="SELECT password, off AS disabled, more AS senders FROM users WHERE login = ?")
    bench.accounts.start()
    yield bench  # type: ignore[misc]
    bench.accounts.stop()


def test_accounts(bench: Bench) -> None:
    alice, bob = bench.accounts.find("alice@example.org"), bench.accounts.find("bob@example.org")
    assert alice is not None
    assert bob is not None
    assert (alice.password, alice.disabled, alice.senders) == ("$a$", False, ("@far.test",))
    assert (bob.disabled, bob.senders) == (True, ())
    assert bench.accounts.find("nobody@example.org") is None
    assert bench.accounts.find("' OR 1=1 --") is None
    assert bench.accounts.names.has_user("alice", "example.org")
    assert not bench.accounts.names.has_user("nobody", "example.org")
    assert bench.accounts.decoy("x").password.startswith("$argon2id$")


def test_the_database_is_only_read(tmp_path: Path) -> None:
    make(tmp_path / "a.db")
    bench = Bench(tmp_path / "a.db", login="DELETE FROM users WHERE login = ? RETURNING password")
    bench.accounts.start()
    with pytest.raises(AccountsError, match="readonly"):
        bench.accounts.find("alice@example.org")
    bench.accounts.stop()


def test_what_somebody_commits_counts(bench: Bench) -> None:
    assert bench.tick() == 0
    bench.run("INSERT INTO users VALUES ('zoe@example.org', '$z$', 0, '')")
    bench.run("UPDATE users SET password = '$new$' WHERE login = 'alice@example.org'")
    found = bench.accounts.find("alice@example.org")
    assert found is not None
    assert found.password == "$new$"
    bench.pool.room = 0
    assert bench.tick() == 0
    bench.pool.room = 1
    assert bench.tick() == 1
    assert bench.accounts.names.has_user("zoe", "example.org")
    assert bench.tick() == 0


def test_another_file_in_its_place(bench: Bench, tmp_path: Path) -> None:
    other = Bench(tmp_path / "new.db")
    make(other.file)
    other.run("INSERT INTO users VALUES ('zoe@example.org', '$z$', 0, '')")
    other.file.rename(bench.file)
    assert bench.tick() == 1
    assert bench.accounts.names.has_user("zoe", "example.org")
    assert bench.tick() == 0


def test_while_somebody_writes_nothing_waits(bench: Bench) -> None:
    with closing(sqlite3.connect(bench.file, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        assert bench.tick() == 0
        writer.execute("ROLLBACK")
    assert bench.said == []


def test_trouble_is_told_once_and_changes_nothing(bench: Bench) -> None:
    bench.file.unlink()
    assert [bench.tick() for _ in range(3)] == [0, 0, 0]
    [said] = bench.said
    assert said.startswith("accounts stay as they were: ")
    assert bench.accounts.names.has_user("alice", "example.org")
    with pytest.raises(AccountsError):
        bench.accounts.find("alice@example.org")
    make(bench.file)
    bench.run("DELETE FROM users WHERE login LIKE 'alice%'")
    assert bench.tick() == 1
    assert not bench.accounts.names.has_user("alice", "example.org")


@pytest.mark.parametrize("settings", [{"names": "SELECT login FROM nothing"}, {"names": "nonsense"}, {}])
def test_what_cannot_be_asked_at_the_start(tmp_path: Path, settings: dict[str, str]) -> None:
    file = tmp_path / "a.db"
    if settings:
        make(file)
    bench = Bench(file, **settings)
    with pytest.raises(AccountsError, match=r"a\.db"):
        bench.accounts.start()
    bench.accounts.stop()
