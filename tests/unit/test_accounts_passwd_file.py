"""A passwd-file: its lines, what is wrong with them, and what becomes of a changed one."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastsmtp.accounts.base import AccountsError
from fastsmtp.accounts.passwd_file import PasswdFile, read
from tests.fakes.accounts import FakePool

CHEAP = SimpleNamespace(memory=64, passes=1)
TEXT = """\
# who may log in
alice@example.org:{ARGON2ID}$argon2id$a
Bob@EXAMPLE.org:{SSHA}b::::::nologin userdb_quota_rule=*:storage=1G
carol:{SSHA}c:1000:1000::/home/carol:/bin/sh:
eve@bücher.example:{SSHA}e\r

dan@example.org:
"""


class Bench:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.pool = FakePool()
        self.said: list[str] = []
        self.accounts = PasswdFile(file, "home.test", CHEAP, self.pool, self.said.append)  # type: ignore[arg-type]

    def write(self, text: str) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.rename(self.file)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    file = tmp_path / "passwd"
    file.write_text(TEXT)
    bench = Bench(file)
    bench.accounts.start()
    return bench


def test_what_stands_in_it(bench: Bench) -> None:
    found = {login: bench.accounts.find(login) for login in ("alice@example.org", "bob@example.org")}
    alice, bob = found.values()
    assert alice is not None
    assert bob is not None
    assert (alice.password, alice.disabled) == ("{ARGON2ID}$argon2id$a", False)
    assert (bob.password, bob.disabled) == ("{SSHA}b", True)
    assert bench.accounts.find("carol@home.test") is not None
    assert bench.accounts.find("eve@xn--bcher-kva.example") is not None
    assert bench.accounts.find("dan@example.org") is None  # without a password nobody logs in
    assert bench.accounts.find("nobody@example.org") is None
    names = bench.accounts.names
    assert names.has_user("alice", "example.org")
    assert names.disabled("bob@example.org")
    assert bench.said == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"alice", "expected login"),
        (b"\xff:{SSHA}secret", "expected login"),
        (b"bare:{SSHA}secret", "accounts.login_domain"),
        (b"@example.org:{SSHA}secret", "no user@domain"),
        (b"a@example.org:x\nA@example.org:{SSHA}secret", "stands above"),
    ],
)
def test_lines_that_are_left_out(tmp_path: Path, line: bytes, problem: str) -> None:
    file = tmp_path / "passwd"
    file.write_bytes(line + b"\nok@example.org:{SSHA}x\n")
    content = read(file, "")
    assert "ok@example.org" in content.records
    [said] = content.problems
    assert problem in said
    assert said.startswith(f"{file}:")
    assert "secret" not in said


def test_a_change_is_read_once_it_was_still(bench: Bench) -> None:
    version = bench.accounts.names.version
    bench.write("zoe@example.org:{SSHA}z\n")
    bench.accounts.tick()
    assert bench.pool.work() == 0
    bench.accounts.tick()
    assert bench.pool.work() == 1
    assert bench.accounts.find("zoe@example.org") is not None
    assert bench.accounts.find("alice@example.org") is None
    assert bench.accounts.names.version != version
    assert bench.said == ["accounts were read again"]
    bench.accounts.tick()
    assert bench.pool.work() == 0


def test_a_file_that_is_gone_changes_nothing_until_it_is_back(bench: Bench) -> None:
    bench.file.unlink()
    for _ in range(4):
        bench.accounts.tick()
        bench.pool.work()
    assert bench.accounts.find("alice@example.org") is not None
    [said] = bench.said
    assert said.startswith(f"accounts stay as they were: {bench.file}: ")
    bench.write("zoe@example.org:{SSHA}z\n")
    for _ in range(2):
        bench.accounts.tick()
        bench.pool.work()
    assert bench.accounts.find("zoe@example.org") is not None


def test_when_the_threads_are_busy_it_is_read_later(bench: Bench) -> None:
    bench.pool.room = 0
    bench.write("zoe@example.org:{SSHA}z\n")
    bench.accounts.tick()
    bench.accounts.tick()
    bench.pool.room = 1
    bench.accounts.tick()
    assert bench.pool.work() == 1
    assert bench.accounts.find("zoe@example.org") is not None


def test_a_file_that_is_not_there_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(AccountsError, match="passwd"):
        Bench(tmp_path / "passwd").accounts.start()


def test_who_does_not_exist_is_compared_with_somebody_always_the_same(bench: Bench) -> None:
    decoys = {bench.accounts.decoy(f"nobody{number}@example.org").login for number in range(200)}
    assert decoys == {"alice@example.org", "bob@example.org", "carol@home.test", "eve@xn--bcher-kva.example"}
    assert bench.accounts.decoy("x").login == bench.accounts.decoy("x").login
    bench.accounts.decoy("\udcff")
    bench.write("")
    for _ in range(2):
        bench.accounts.tick()
        bench.pool.work()
    assert bench.accounts.decoy("x").password.startswith("$argon2id$")


def test_many_problems_are_told_in_few_lines(tmp_path: Path) -> None:
    file = tmp_path / "passwd"
    file.write_text("bad\n" * 1000)
    os.utime(file, (0, 0))
    bench = Bench(file)
    bench.accounts.start()
    assert len(bench.said) == 10
