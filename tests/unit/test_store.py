"""The rules of LMDB, kept by the store."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.store import Migration, StorageError, Store, StoreError, StoreTaken


def make(path: Path, format_number: int = 1) -> Store:
    return Store(path, (b"one", b"two"), format_number=format_number, map_size=16 << 20)


def test_what_is_committed_is_there_after_opening_again(tmp_path: Path) -> None:
    store = make(tmp_path / "a")
    store.open()
    with store.write() as txn:
        txn.put(b"k", b"v", db=store.db[b"one"])
    store.close()
    store.open()
    with store.read() as txn:
        assert bytes(txn.get(b"k", db=store.db[b"one"])) == b"v"
        assert txn.get(b"k", db=store.db[b"two"]) is None
    store.reopen()
    assert 0 < store.used() <= store.high_water()
    store.close()


def test_one_at_a_time(tmp_path: Path) -> None:
    first, second = make(tmp_path), make(tmp_path)
    first.open()
    with pytest.raises(StoreError, match="another process has it"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_another_format_is_refused_in_one_line(tmp_path: Path) -> None:
    store = make(tmp_path, 1)
    store.open()
    store.close()
    with pytest.raises(StoreError, match="format 1, and no way leads from there to 2") as caught:
        make(tmp_path, 2).open()
    assert "\n" not in str(caught.value)
    store.open()
    store.close()


def test_a_newer_format_is_refused_in_one_line(tmp_path: Path) -> None:
    store = make(tmp_path, 2)
    store.open()
    store.close()
    with pytest.raises(StoreError, match="format 2, and this program reads 1: a newer fastsmtp wrote it"):
        make(tmp_path, 1).open()


def migrating(path: Path, ours: int, steps: dict[int, Migration]) -> Store:
    return Store(path, (b"one", b"two"), format_number=ours, map_size=1 << 22, migrations=steps)


def test_older_formats_are_migrated_step_by_step(tmp_path: Path) -> None:
    steps: dict[int, Migration] = {
        1: lambda txn, db: txn.put(b"k", b"from 1", db=db[b"two"]),
        2: lambda txn, db: txn.put(b"k", bytes(txn.get(b"k", db=db[b"two"])) + b", from 2", db=db[b"two"]),
    }
    old = migrating(tmp_path, 1, {})
    old.open()
    assert not old.outdated
    old.close()
    store = migrating(tmp_path, 3, steps)
    store.open()
    assert store.outdated
    store.migrate()
    assert not store.outdated
    store.close()
    store = migrating(tmp_path, 3, {})
    store.open()
    with store.read() as txn:
        assert bytes(txn.get(b"k", db=store.db[b"two"])) == b"from 1, from 2"
    store.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    def fails(txn: Any, db: dict[bytes, Any]) -> None:
        txn.put(b"k", b"half", db=db[b"two"])
        raise OSError(errno.EIO, "Input/output error")

    old = migrating(tmp_path, 1, {})
    old.open()
    old.close()
    store = migrating(tmp_path, 2, {1: fails})
    store.open()
    with pytest.raises(OSError, match="Input/output"):
        store.migrate()
    store.close()
    old.open()
    with old.read() as txn:
        assert txn.get(b"k", db=old.db[b"two"]) is None
    old.close()


def test_fill_tells_what_another_process_has_open(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.open()
    code = "import sys, pathlib, fastsmtp.store as s; print(s.fill(pathlib.Path(sys.argv[1])))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) == store.high_water() > 0
    store.close()


def test_what_is_no_environment_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"x" * 65536)
    with pytest.raises(StoreError, match="not an environment"):
        make(tmp_path).open()


def test_a_path_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(StoreError, match="must be a directory"):
        make(tmp_path / "a").open()


def test_the_lock_file_has_no_holes_for_a_full_disk(tmp_path: Path) -> None:
    """A page of it that the disk has no room for ends the process with SIGBUS."""
    store = Store(tmp_path, (b"one",), format_number=1, map_size=1 << 20, shared=True)
    store.open()
    file = (tmp_path / "lock.mdb").stat()
    assert file.st_blocks * 512 >= file.st_size > 0
    store.close()


def test_a_full_disk_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StoreError, match=r"No space left on device; see that .* disk"):
        make(tmp_path).open()


def test_it_does_not_cross_a_fork(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.open()
    child = os.fork()
    if not child:
        try:
            store.write()
        except RuntimeError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    store.close()


def test_a_closed_store_is_a_storage_error(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.open()
    store.close()
    with pytest.raises(StorageError):
        store.high_water()


def test_a_file_that_was_cut_is_refused(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.open()
    with store.write() as txn:
        txn.put(b"k", b"v" * (1 << 20), db=store.db[b"one"])
    store.close()
    with open(store.data_file, "r+b") as file:
        file.truncate(store.data_file.stat().st_size - 65536)
    with pytest.raises(StoreError, match="was cut") as caught:
        make(tmp_path).open()
    assert "\n" not in str(caught.value)


def test_a_new_environment_is_told_of_before_it_counts_as_one(tmp_path: Path) -> None:
    calls: list[int] = []

    def created() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise OSError(5, "Input/output error")

    store = Store(tmp_path, (b"one",), format_number=1, map_size=16 << 20, created=created)
    with pytest.raises(StoreError, match="Input/output error"):
        store.open()
    store.open()
    store.reopen()
    store.close()
    store.open()
    assert len(calls) == 2, "the first did not count"
    store.close()


def test_an_environment_that_vanished_in_use_is_refused(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.open()
    for name in ("data.mdb", "lock.mdb"):
        (tmp_path / name).unlink()
    with pytest.raises(StoreError, match="while in use"):
        store.reopen()
    store.close()


_OTHER = """
import sys
from pathlib import Path
from fastsmtp.store import Store
store = Store(Path(sys.argv[1]), (b"one",), format_number=1, map_size=16 << 20, shared=True)
store.open()
with store.write() as txn:
    txn.put(b"k", b"v", db=store.db[b"one"])
store.close()
"""


def test_a_shared_one_is_open_in_many_processes_and_shows_what_each_commits(tmp_path: Path) -> None:
    def shared() -> Store:
        return Store(tmp_path, (b"one",), format_number=1, map_size=16 << 20, shared=True)

    store = shared()
    store.open()
    before = store.last_change()
    subprocess.run([sys.executable, "-c", _OTHER, os.fspath(tmp_path)], check=True, timeout=60)
    store.forget_the_dead()
    assert store.last_change() > before
    with store.read() as txn:
        assert bytes(txn.get(b"k", db=store.db[b"one"])) == b"v"
    alone = make(tmp_path)
    with pytest.raises(StoreError, match="another process has it"):
        alone.open()
    store.close()


_MIGRATES = """
import sys
from pathlib import Path
from fastsmtp.store import Store

def more(txn, db):
    txn.put(b"k", bytes(txn.get(b"k", db=db[b"one"]) or b"") + b"+", db=db[b"one"])

store = Store(
    Path(sys.argv[1]), (b"one",), format_number=int(sys.argv[2]), map_size=16 << 20, shared=True, migrations={1: more}
)
store.open()
print("open", flush=True)
sys.stdin.readline()
if store.outdated:
    store.migrate()
store.close()
"""


def _sharing(path: Path, number: int) -> "subprocess.Popen[str]":
    """A process that has it open, whose program is of format ``number``; it migrates it when it is told to go on."""
    process = subprocess.Popen(
        [sys.executable, "-c", _MIGRATES, os.fspath(path), str(number)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def _shared(path: Path, steps: dict[int, Migration], number: int = 2) -> Store:
    return Store(path, (b"one",), format_number=number, map_size=16 << 20, shared=True, migrations=steps)


def test_a_shared_one_is_migrated_once_by_all_that_open_it(tmp_path: Path) -> None:
    first = _shared(tmp_path, {}, 1)
    first.open()
    first.close()
    others = [_sharing(tmp_path, 2) for _ in range(3)]
    for other in others:
        assert other.stdin is not None
        other.stdin.write("\n")
        other.stdin.flush()
    for other in others:
        other.communicate(timeout=60)
        assert other.returncode == 0
    store = _shared(tmp_path, {})
    store.open()
    with store.read() as txn:
        assert bytes(txn.get(b"k", db=store.db[b"one"])) == b"+"
    store.close()


def test_a_shared_one_is_not_migrated_under_an_older_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastsmtp.store._ALONE", 2)
    other = _sharing(tmp_path, 1)
    store = _shared(tmp_path, {1: lambda txn, db: None})
    store.open()
    with pytest.raises(StoreTaken, match=r"of format 1, which becomes 2 only while .*stop the server"):
        store.migrate()
    store.close()
    other.communicate("\n", timeout=60)
    store.open()
    assert store.outdated
    store.migrate()
    store.close()
    with pytest.raises(StoreError, match="a newer fastsmtp"):
        _shared(tmp_path, {}, 1).open()
