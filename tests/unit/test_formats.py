"""What is on disk has a number: an older one is migrated in place, a newer one is refused (docs/formats.md)."""

import re
from pathlib import Path
from typing import Any

import lmdb
import msgspec
import pytest

from fastsmtp.accounts import embedded
from fastsmtp.accounts.base import AccountsError
from fastsmtp.accounts.embedded import EmbeddedAccounts, User
from fastsmtp.ledger import format as ledger
from fastsmtp.ledger.format import Header, LedgerError, read_header
from fastsmtp.process.backup import manifest
from fastsmtp.process.backup.manifest import read_head
from fastsmtp.process.errors import StartError
from fastsmtp.process.routing import read_secret
from fastsmtp.spool import record
from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.journal import Journal
from tests.fakes.post_office import PostOffice

ROOT = Path(__file__).resolve().parents[2]


def renumber(path: Path, number: int) -> None:
    """Say that the environment in ``path`` is of format ``number``."""
    with lmdb.open(str(path), max_dbs=32, map_size=64 << 20) as env:
        meta = env.open_db(b"meta")
        with env.begin(write=True) as txn:
            txn.put(b"format", b"%d" % number, db=meta)


def number_of(path: Path) -> int:
    with lmdb.open(str(path), max_dbs=32, readonly=True, lock=False) as env, env.begin() as txn:
        return int(txn.get(b"format", db=env.open_db(b"meta", txn=txn, create=False)))


# --- the spool ------------------------------------------------------------------------------------


def crashed(tmp_path: Path) -> list[str]:
    """A spool whose mail stands in the journal alone; the ids."""
    office = PostOffice(tmp_path).open()
    ids = [office.submit(b"x", "a@b.example") for _ in range(3)]
    office.accepted(*ids)
    office.spool._keeper.flush = lambda number: False  # type: ignore[method-assign]  # as after a kill
    office.close()
    return ids


def test_an_older_spool_is_migrated_with_what_stands_in_its_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashed(tmp_path)
    renumber(tmp_path / "spool", record.FORMAT - 1)
    seen: list[int] = []

    def step(txn: Any, db: dict[bytes, Any]) -> None:
        seen.append(txn.stat(db[b"pack"])["entries"])

    monkeypatch.setitem(record.MIGRATIONS, record.FORMAT - 1, step)
    office = PostOffice(tmp_path).open()
    assert seen[0] > 0, "the journal was moved into the tree before"
    assert office.left()["pack"] == seen[0]
    office.deliver()
    office.settled()
    office.close()
    assert number_of(tmp_path / "spool") == record.FORMAT
    assert len(list((tmp_path / "mail/b.example/a/new").iterdir())) == 3
    assert f"migrated to format {record.FORMAT}" in (tmp_path / "log").read_text()
    PostOffice(tmp_path).open().close()
    assert len(seen) == 1


def test_a_migration_that_fails_leaves_the_old_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crashed(tmp_path)
    renumber(tmp_path / "spool", record.FORMAT - 1)

    def step(txn: Any, db: dict[bytes, Any]) -> None:
        txn.drop(db[b"pack"], delete=False)
        raise lmdb.Error("no room")

    monkeypatch.setitem(record.MIGRATIONS, record.FORMAT - 1, step)
    with pytest.raises(SpoolError, match="no room"):
        PostOffice(tmp_path).open()
    assert number_of(tmp_path / "spool") == record.FORMAT - 1
    monkeypatch.setitem(record.MIGRATIONS, record.FORMAT - 1, lambda txn, db: None)
    office = PostOffice(tmp_path).open()
    assert office.left()["pack"] > 0
    office.close()


@pytest.mark.parametrize(("number", "words"), [(99, "a newer fastsmtp wrote it"), (1, "no way leads")])
def test_a_spool_of_another_format_is_refused(tmp_path: Path, number: int, words: str) -> None:
    PostOffice(tmp_path).open().close()
    renumber(tmp_path / "spool", number)
    with pytest.raises(SpoolError, match=f"format {number}, .*{words}"):
        PostOffice(tmp_path).open()
    assert number_of(tmp_path / "spool") == number


def test_a_newer_journal_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def journal() -> Journal:
        return Journal(tmp_path / "journal", region_bytes=1 << 16, most_regions=4, sync=False, late=False)

    with monkeypatch.context() as newer:
        newer.setattr("fastsmtp.spool.journal._FILE_MAGIC", b"\xf5fsmtpZ\n")
        one = journal()
        one.open()
        one.close()
    with pytest.raises(SpoolError, match="a newer fastsmtp wrote it"):
        journal().open()


# --- accounts -------------------------------------------------------------------------------------


def test_older_accounts_are_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = EmbeddedAccounts(tmp_path)
    accounts.open()
    accounts.change(lambda change: change.put_user("a@b.example", User("old")))
    accounts.close()
    renumber(tmp_path / "accounts", embedded.FORMAT - 1)

    def step(txn: Any, db: dict[bytes, Any]) -> None:
        user = msgspec.msgpack.decode(txn.get(b"a@b.example", db=db[b"users"]), type=User)
        changed = msgspec.structs.replace(user, password=user.password + "er")
        txn.put(b"a@b.example", msgspec.msgpack.encode(changed), db=db[b"users"])

    monkeypatch.setitem(embedded.MIGRATIONS, embedded.FORMAT - 1, step)
    accounts = EmbeddedAccounts(tmp_path)
    accounts.open()
    user = accounts.user("a@b.example")
    assert user is not None
    assert user.password == "older"
    accounts.close()
    assert number_of(tmp_path / "accounts") == embedded.FORMAT


def test_newer_accounts_are_refused(tmp_path: Path) -> None:
    accounts = EmbeddedAccounts(tmp_path)
    accounts.open()
    accounts.close()
    renumber(tmp_path / "accounts", embedded.FORMAT + 1)
    with pytest.raises(AccountsError, match="a newer fastsmtp wrote it"):
        accounts.open()


# --- the others -----------------------------------------------------------------------------------


def test_a_newer_segment_of_the_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    path.write_bytes(msgspec.json.encode(Header(ledger.FORMAT + 1, 0.0, 1)) + b"\n")
    with path.open("rb") as stream, pytest.raises(LedgerError, match="use a newer one"):
        read_header(stream.fileno(), path)


def test_a_secret_of_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "srs.secret").write_bytes(b"v2 " + b"0" * 64 + b"\n")
    with pytest.raises(ValueError, match=re.escape("srs.secret")):
        read_secret(tmp_path / "srs.secret")


@pytest.mark.parametrize(
    "change",
    [
        {"format": manifest.FORMAT + 1},
        {"formats": {"spool": record.FORMAT + 1}},
        {"formats": {"stranger": 1}},
    ],
)
def test_a_newer_backup_is_refused(change: dict[str, Any]) -> None:
    head = {
        "format": manifest.FORMAT,
        "version": "99.1",
        "at": 0.0,
        "hostname": "mx.example.org",
        "data_dir": "/data",
        "formats": {},
        "parts": [],
    }
    assert read_head(msgspec.json.encode(head)).version == "99.1"
    with pytest.raises(StartError, match=r"restore it with fastsmtp 99\.1 or later"):
        read_head(msgspec.json.encode(head | change))


def test_the_table_of_formats_has_the_numbers_of_the_program() -> None:
    text = (ROOT / "docs/formats.md").read_text()
    for name, number in {**manifest.formats(), "backup": manifest.FORMAT}.items():
        assert re.search(rf"^\| {name} \| .* \| {number} \|", text, re.MULTILINE), name
