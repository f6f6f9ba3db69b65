"""The queue's indexes, made again from its records, are what they were."""

from pathlib import Path

import pytest

from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.filter import Filter
from fastsmtp.spool.record import FORMAT
from fastsmtp.spool.reindex import MADE, reindex
from fastsmtp.spool.relay import Defer
from fastsmtp.spool.tables import DATABASES, HELD, INDEXES, RELAY
from fastsmtp.spool.waiting import RcptState, Try, Waiting
from fastsmtp.store import Store
from tests.fakes.post_office import SMALL, PostOffice, until

Rows = dict[bytes, dict[bytes, bytes]]


def store_of(tmp_path: Path) -> Store:
    return Store(tmp_path / "spool", DATABASES, format_number=FORMAT, map_size=SMALL.map_size)


def rows(tmp_path: Path) -> Rows:
    """All index rows, of a spool that is closed."""
    store = store_of(tmp_path)
    store.open()
    with store.read() as txn:
        found = {
            name: {bytes(key): bytes(value) for key, value in txn.cursor(db=store.db[name])}
            for name in INDEXES
        }
    store.close()
    return found


def waiting_mail(tmp_path: Path) -> list[str]:
    """A closed spool with mail that waits in all the ways there are."""
    office = PostOffice(tmp_path).open()
    ids = [office.submit(b"x", elsewhere=(f"u{n}@far.test", "v@sub.far.test")) for n in range(20)]
    office.accepted(*ids)
    for n, queue_id in enumerate(ids):
        tried = (Try(1.0, 450, "4.7.1", "later", "mx"),) if n % 2 else ()
        rcpts = [RcptState(0, 1000.0 + n if n % 3 else 0.0, tried), RcptState(1)]
        office.settle(Defer(queue_id, Waiting(5.0, False, False, rcpts)))
    answers: list[object] = []
    office.spool.search.apply(
        Filter(ids=tuple(ids[:5])), "hold", b"", lambda error, changed: answers.append(error)
    )
    until(lambda: bool(answers), each=lambda: office.turn(0.01))
    office.close()
    return ids


def test_deleted_indexes_are_made_again_as_they_were(tmp_path: Path) -> None:
    waiting_mail(tmp_path)
    before = rows(tmp_path)
    assert all(before.values())
    store = store_of(tmp_path)
    store.open()
    with store.write() as txn:
        for name in MADE:
            txn.drop(store.db[name], delete=False)
        txn.put(b"stray\0row", b"", db=store.db[MADE[0]])
    store.close()
    seen: list[tuple[int, int]] = []
    done = reindex(tmp_path / "spool", SMALL, lambda *what: seen.append(what))
    assert rows(tmp_path) == before
    assert done.messages == 20
    assert done.damaged == 0
    assert done.rows == sum(len(found) for name, found in before.items() if name != HELD)


def test_what_cannot_be_read_is_counted_and_left(tmp_path: Path) -> None:
    ids = waiting_mail(tmp_path)
    store = store_of(tmp_path)
    store.open()
    with store.write() as txn:
        txn.put(ids[0].encode(), b"garbage", db=store.db[RELAY])
        txn.delete(ids[1].encode(), db=store.db[RELAY])
    store.close()
    done = reindex(tmp_path / "spool", SMALL)
    assert (done.messages, done.damaged) == (18, 2)


def test_a_shard_in_use_is_left_alone(tmp_path: Path) -> None:
    office = PostOffice(tmp_path).open()
    with pytest.raises(SpoolError, match="another process has it"):
        reindex(tmp_path / "spool", SMALL)
    office.close()
