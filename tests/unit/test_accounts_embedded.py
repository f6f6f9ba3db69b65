"""Accounts in LMDB: kept, changed as a whole or not at all, and seen at once by whoever has them open."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastsmtp.accounts.base import AccountsError, Identity, ScramKeys
from fastsmtp.accounts.embedded import Change, EmbeddedAccounts, User
from fastsmtp.accounts.static import StaticDirectory
from tests.fakes.routing import mailboxes

ALICE = "alice@example.org"


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[EmbeddedAccounts]:
    accounts = EmbeddedAccounts(tmp_path, decoy="$decoy$", scram_iterations=5000)
    accounts.open()
    yield accounts
    accounts.close()


def fill(change: Change) -> None:
    change.put_domain("example.org")
    change.put_domain("xn--bcher-kva.example")
    change.put_user(ALICE, User("$alice$", 10, senders=("@far.test",)))
    change.put_user("bob@example.org", User("$bob$", disabled=True))
    change.put_alias("info@example.org", [ALICE, "x@far.test"])
    change.put_alias("@example.org", [ALICE])


def test_what_was_put_is_found(accounts: EmbeddedAccounts) -> None:
    accounts.change(fill)
    assert accounts.domains() == ["example.org", "xn--bcher-kva.example"]
    assert list(accounts.users()) == [ALICE, "bob@example.org"]
    assert accounts.has_domain("example.org")
    assert not accounts.has_domain("example.com")
    assert not accounts.has_domain("")
    assert accounts.has_user("alice", "example.org")
    assert not accounts.has_user("alice", "example.com")
    assert not accounts.has_user("", "")
    assert accounts.alias("info", "example.org") == (ALICE, "x@far.test")
    assert accounts.alias("", "example.org") == (ALICE,)
    assert accounts.alias("alice", "example.org") is None
    assert accounts.senders(ALICE) == ("@far.test",)
    assert accounts.senders("nobody@example.org") == ()
    assert accounts.disabled("bob@example.org")
    assert not accounts.disabled(ALICE)
    assert accounts.disabled("nobody@example.org")  # who was removed sends no more
    assert accounts.first_domain == "example.org"
    assert accounts.international
    assert accounts.aliases() == {"@example.org": (ALICE,), "info@example.org": (ALICE, "x@far.test")}


def test_it_is_there_after_opening_again(accounts: EmbeddedAccounts) -> None:
    accounts.change(fill)
    secret = accounts.secret
    accounts.close()
    accounts.open()
    assert accounts.has_user("alice", "example.org")
    assert accounts.secret == secret
    assert len(secret) == 32


def test_what_raises_changes_nothing(accounts: EmbeddedAccounts) -> None:
    def halfway(change: Change) -> None:
        change.put_user(ALICE, User("$alice$"))
        raise ValueError

    version = accounts.version
    with pytest.raises(ValueError):  # noqa: PT011
        accounts.change(halfway)
    assert accounts.user(ALICE) is None
    assert accounts.version == version


def test_removals(accounts: EmbeddedAccounts) -> None:
    accounts.change(fill)

    def remove(change: Change) -> None:
        assert change.in_domain("example.org") == (
            [ALICE, "bob@example.org"],
            ["@example.org", "info@example.org"],
        )
        assert change.in_domain("xn--bcher-kva.example") == ([], [])
        assert change.user(ALICE) == User("$alice$", 10, senders=("@far.test",))
        assert change.alias("info@example.org") == (ALICE, "x@far.test")
        assert change.remove_user(ALICE)
        assert not change.remove_user(ALICE)
        assert change.remove_alias("@example.org")
        assert not change.remove_alias("@example.org")
        assert change.remove_domain("xn--bcher-kva.example")
        assert not change.remove_domain("example.com")
        assert not change.put_domain("example.org")
        assert change.user(ALICE) is None
        assert change.alias("@example.org") is None

    accounts.change(remove)
    assert not accounts.international
    assert accounts.find(ALICE) is None


def test_records_for_logging_in(accounts: EmbeddedAccounts) -> None:
    keys = {"salt": b"s" * 16, "iterations": 4096, "stored_key": b"k" * 32, "server_key": b"v" * 32}
    accounts.change(lambda change: change.put_user(ALICE, User("$alice$", **keys)))  # type: ignore[arg-type]
    found = accounts.find(ALICE)
    assert found is not None
    assert (found.login, found.password, found.disabled) == (ALICE, "$alice$", False)
    assert found.scram == ScramKeys(identity=Identity(ALICE), **keys)  # type: ignore[arg-type]
    accounts.change(lambda change: change.put_user("bob@example.org", User("$bob$")))
    bob = accounts.find("bob@example.org")
    assert bob is not None
    assert bob.scram is None


def test_who_does_not_exist_is_compared_with_somebody_who_does(accounts: EmbeddedAccounts) -> None:
    nobody = accounts.decoy("nobody@example.org")
    assert nobody.password == "$decoy$"
    assert nobody.scram is not None
    assert nobody.scram.iterations == 5000
    accounts.change(fill)
    assert accounts.decoy("b@example.org").password == "$bob$"
    assert accounts.decoy("nobody@example.org").password == "$alice$"
    assert accounts.decoy("").password in ("$alice$", "$bob$")


@pytest.mark.parametrize("name", ["", "\0", "x" * 10_000, "\udcff", "é" * 300])
def test_names_that_nobody_can_have(accounts: EmbeddedAccounts, name: str) -> None:
    accounts.change(fill)
    assert not accounts.has_domain(name)
    assert not accounts.has_user(name, "example.org")
    assert accounts.find(name) is None
    accounts.decoy(name)


_OTHER = """
import sys
from pathlib import Path
from fastsmtp.accounts.embedded import EmbeddedAccounts, User
other = EmbeddedAccounts(Path(sys.argv[1]))
other.open()
other.change(lambda change: change.put_domain("xn--bcher-kva.example"))
other.change(lambda change: change.put_user("alice@xn--bcher-kva.example", User("$a$")))
other.close()
"""


def test_another_process_changes_and_this_one_sees_it_at_once(tmp_path: Path) -> None:
    accounts = EmbeddedAccounts(tmp_path)
    accounts.open()
    before = accounts.version
    directory = StaticDirectory(mailboxes((), ()), accounts)
    assert directory.lookup("alice", "bücher.example") is None
    subprocess.run([sys.executable, "-c", _OTHER, os.fspath(tmp_path)], check=True, timeout=60)
    assert accounts.version != before
    found = directory.lookup("alice", "bücher.example")
    assert found is not None
    assert found.mailbox == "alice@xn--bcher-kva.example"
    accounts.close()


def test_another_file_in_its_place_is_opened(tmp_path: Path) -> None:
    accounts = EmbeddedAccounts(tmp_path)
    accounts.open()
    accounts.change(fill)
    before = accounts.version
    assert not accounts.follow()
    (tmp_path / "accounts").rename(tmp_path / "set-aside")
    assert not accounts.follow()
    assert accounts.has_user("alice", "example.org")
    subprocess.run([sys.executable, "-c", _OTHER, os.fspath(tmp_path)], check=True, timeout=60)
    assert accounts.follow()
    assert accounts.version != before
    assert not accounts.has_user("alice", "example.org")
    assert accounts.has_user("alice", "xn--bcher-kva.example")
    accounts.close()


def test_what_cannot_be_opened_again_is_tried_until_it_can(tmp_path: Path) -> None:
    accounts = EmbeddedAccounts(tmp_path)
    accounts.open()
    accounts.change(fill)
    data = tmp_path / "accounts" / "data.mdb"
    data.rename(tmp_path / "kept")
    data.write_bytes(b"half a backup" * 1000)
    for _ in range(2):
        with pytest.raises(AccountsError):
            accounts.follow()
        with pytest.raises(AccountsError):
            accounts.has_user("alice", "example.org")
    (tmp_path / "kept").rename(data)
    assert accounts.follow()
    assert accounts.has_user("alice", "example.org")
    accounts.close()


def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "accounts").write_text("")
    with pytest.raises(AccountsError, match="accounts"):
        EmbeddedAccounts(tmp_path).open()


def test_closed_it_raises_what_is_temporary(tmp_path: Path) -> None:
    accounts = EmbeddedAccounts(tmp_path)
    accounts.open()
    accounts.close()
    with pytest.raises(AccountsError):
        accounts.has_user("alice", "example.org")
    with pytest.raises(AccountsError):
        _ = accounts.version


def test_a_user_does_not_show_its_hash() -> None:
    assert "$alice$" not in repr(User("$alice$"))
