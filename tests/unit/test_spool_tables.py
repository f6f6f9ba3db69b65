"""The journal's changes in front of the tree: what readers see, whatever was moved and however often it crashed."""

import random
from pathlib import Path

import pytest

from fastsmtp.spool import keeper
from fastsmtp.spool.growth import Growth
from fastsmtp.spool.journal import Frame, Journal, Region
from fastsmtp.spool.keeper import Keeper
from fastsmtp.spool.record import FORMAT
from fastsmtp.spool.tables import (
    APPLIED,
    BY_CODE,
    BY_DOMAIN,
    BY_DUE,
    DATABASES,
    INTENT,
    MAIL,
    NUMBER,
    PACK,
    RELAY,
    STATE,
    WAIT,
    Entry,
    Tables,
)
from fastsmtp.store import Store
from tests.fakes.clock import FakeClock

EQUAL = [1.0] * len(DATABASES)
"""What changes cost: the same for each table."""


class Shelf:
    """Store, journal, tables and keeper, all on this thread."""

    def __init__(self, path: Path, region: int = 16 << 10, regions: int = 6) -> None:
        clock = FakeClock()
        self.store = Store(path, DATABASES, format_number=FORMAT, map_size=64 << 20)
        self.store.open()
        self.journal = Journal(
            path / "journal", region_bytes=region, most_regions=regions, sync=False, late=False
        )
        self.journal.open()
        self.tables = Tables(self.store, self.journal)
        self.events: list[str] = []
        self.failing = ""
        growth = Growth(
            self.store.data_file, map_size=64 << 20, ahead=1 << 20, reserve=1 << 20,
            run=lambda work: work(), monotonic=clock.monotonic,
        )  # fmt: skip
        self.keeper = Keeper(
            self.store, self.tables, self.journal, growth,
            most_bytes=20_000, event=self.events.append, clock=clock, fault=self._fault,
        )  # fmt: skip
        with self.tables.reading(STATE, APPLIED) as value:
            self.number = 0 if value is None else int.from_bytes(value, "big")
        for where, number, changes in self.journal.replay(self.number):
            self.tables.apply(where, 0, changes)
            self.number = number

    def _fault(self, step: str) -> None:
        if step == self.failing:
            raise OSError(5, "Input/output error")

    def change(self, *changes: tuple[bytes, bytes, bytes | None, bool]) -> None:
        frame = Frame()
        for table, key, value, new in changes:
            if value is None:
                frame.delete(NUMBER[table], key)
            else:
                frame.put(NUMBER[table], key, value, new=new)
        while not self.journal.room(frame.size, spare=0):
            self.keeper._turn()
        self.number += 1
        data, made = frame.seal(self.number, self.journal.mark)
        region, start, error = self.journal.append(data)
        assert not error
        self.tables.apply(region, start, made)

    def put(self, table: bytes, key: bytes, value: bytes, *, new: bool = False) -> None:
        self.change((table, key, value, new))

    def delete(self, table: bytes, key: bytes) -> None:
        self.change((table, key, None, False))

    def get(self, table: bytes, key: bytes) -> bytes | None:
        with self.tables.reading(table, key) as value:
            return None if value is None else bytes(value)

    def all(self, table: bytes, limit: int = 7) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        position: bytes | None = b""
        while position is not None:
            with self.tables.page(table, position, limit=limit) as (page, position):
                found.update((key, bytes(value)) for key, value in page)
        assert list(found) == sorted(found)
        return found

    def tree(self, table: bytes) -> list[bytes]:
        with self.store.read() as txn:
            return [bytes(key) for key, _ in txn.cursor(db=self.store.db[table])]

    def close(self) -> None:
        self.journal.close()
        self.store.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_what_goes_soon_never_enters_the_tree(shelf: Shelf) -> None:
    for n in range(500):
        shelf.put(PACK, b"%08d" % n, b"x" * 1000, new=True)
        if n >= 5:
            shelf.delete(PACK, b"%08d" % (n - 5))
    assert shelf.tree(PACK) == []
    assert len(shelf.all(PACK)) == 5
    assert len(shelf.journal.regions) <= 3


def test_keys_are_counted_wherever_they_stand(tmp_path: Path) -> None:
    """In the journal, in the tree, or in both, as after a process that died in the middle of a move."""
    shelf = Shelf(tmp_path)
    shelf.tables.recount(PACK)

    def counted() -> int:
        assert shelf.tables.count(PACK) == len(shelf.all(PACK))
        return shelf.tables.count(PACK)

    for n in range(300):
        shelf.put(PACK, b"%08d" % n, b"%08d" % n * 100, new=True)
    assert counted() == 300
    assert shelf.tree(PACK), "some have been moved"
    for n in range(0, 300, 3):
        shelf.delete(PACK, b"%08d" % n)
    shelf.put(PACK, b"%08d" % 1, b"another value")
    assert counted() == 200
    shelf.delete(PACK, b"%08d" % 0)
    assert counted() == 200, "it was gone before"
    shelf.close()
    shelf = Shelf(tmp_path)
    shelf.tables.recount(PACK)
    assert counted() == 200
    shelf.delete(PACK, b"%08d" % 1)
    assert shelf.keeper.flush(shelf.number)
    assert counted() == 199


def test_what_stays_is_moved_and_the_journal_goes_round(shelf: Shelf) -> None:
    for n in range(300):
        shelf.put(PACK, b"%08d" % n, b"%08d" % n * 100, new=True)
    assert 200 < len(shelf.tree(PACK)) < 300
    assert shelf.all(PACK) == {b"%08d" % n: b"%08d" % n * 100 for n in range(300)}
    for n in range(300):
        shelf.delete(PACK, b"%08d" % n)
    assert shelf.all(PACK) == {}
    assert shelf.keeper.flush(shelf.number)
    assert shelf.tree(PACK) == []
    assert shelf.tables.bytes == 0
    assert all(not region.live and not region.pins for region in shelf.journal.regions)


def test_a_delete_that_comes_while_the_value_is_moved_is_not_lost(shelf: Shelf) -> None:
    shelf.put(PACK, b"k", b"v", new=True)
    region = shelf.journal.regions[0]
    batch = shelf.tables.next_to_move(region, 1 << 20, EQUAL, 1000)
    shelf.delete(PACK, b"k")
    assert shelf.keeper._write(batch, None)
    shelf.tables.moved(region, batch)
    assert shelf.get(PACK, b"k") is None
    assert shelf.all(PACK) == {}
    assert shelf.keeper.flush(shelf.number)
    assert shelf.tree(PACK) == []


def test_a_region_that_is_read_is_not_written_over(shelf: Shelf) -> None:
    shelf.put(PACK, b"k", b"v" * 5000, new=True)
    with shelf.tables.reading(PACK, b"k") as value:
        shelf.delete(PACK, b"k")
        while shelf.journal.room(6100, spare=0):
            shelf.put(INTENT, b"k", b"x" * 6000)
            shelf.keeper._turn()
        assert shelf.journal.ahead() == 0
        assert bytes(value) == b"v" * 5000
    shelf.put(INTENT, b"k", b"x" * 6000)
    assert shelf.get(INTENT, b"k") == b"x" * 6000


def test_a_move_that_fails_changes_nothing_and_is_tried_again(shelf: Shelf) -> None:
    shelf.put(PACK, b"k", b"v", new=True)
    for step in ("move-begin", "move-end"):
        shelf.failing = step
        assert not shelf.keeper.flush(shelf.number)
        assert "Input/output error" in str(shelf.keeper.trouble)
        assert "Input/output error" in str(shelf.keeper.admit(1))
        assert shelf.get(PACK, b"k") == b"v"
    shelf.failing = ""
    shelf.keeper._turn()
    assert shelf.keeper.trouble is None
    assert shelf.keeper.flush(shelf.number)
    assert shelf.tree(PACK) == [b"k"]
    assert shelf.get(PACK, b"k") == b"v"


def test_mail_is_admitted_as_long_as_all_of_it_would_fit_into_the_tree(shelf: Shelf) -> None:
    assert shelf.keeper.admit(50 << 20) is None
    assert "no room" in str(shelf.keeper.admit(63 << 20))
    shelf.tables.bytes = 60 << 20
    assert "no room" in str(shelf.keeper.admit(5 << 20))


@pytest.mark.parametrize("seed", range(30))
def test_against_a_dictionary(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    shelf = Shelf(tmp_path)
    model: dict[bytes, dict[bytes, bytes]] = {PACK: {}, MAIL: {}, INTENT: {}, BY_DOMAIN: {}, BY_DUE: {}}
    sizes = {BY_DOMAIN: [0, 1], BY_DUE: [0]}
    counter = 0
    for _ in range(400):
        what = dice.random()
        table = dice.choice([PACK, MAIL, INTENT, BY_DOMAIN, BY_DUE])
        known = list(model[table])
        if what < 0.5:
            changes = []
            for _ in range(dice.randint(1, 4)):
                counter += 1
                size = dice.choice(sizes.get(table, [0, 10, 3000]))
                key, value = b"%08d" % counter, bytes(dice.choices(b"\1\2\4", k=size))
                changes.append((table, key, value, dice.random() < 0.8))
                model[table][key] = value
            shelf.change(*changes)
        elif what < 0.6 and known:
            key, value = (
                dice.choice(known),
                bytes(dice.choices(b"\1\2", k=dice.choice(sizes.get(table, [500])))),
            )
            shelf.put(table, key, value)
            model[table][key] = value
        elif what < 0.9 and known:
            key = dice.choice(known)
            shelf.delete(table, key)
            del model[table][key]
        elif what < 0.94:
            shelf.keeper._turn()
        elif what < 0.96:
            assert shelf.keeper.flush(shelf.number)
            shelf.journal.skip()
        elif what < 0.98:
            shelf.close()
            shelf = Shelf(tmp_path)
            assert shelf.journal.damage == []
        else:
            assert shelf.all(table, limit=dice.choice([1, 3, 100])) == model[table]
    for table, values in model.items():
        assert shelf.all(table) == values
        for key in list(values)[:20]:
            assert shelf.get(table, key) == values[key]
        some = [*list(values)[:20], b"no such key"]
        assert shelf.tables.several(table, some) == [values.get(key) for key in some]
    with shelf.tables.page(PACK, b"%08d" % 50, b"%08d" % 60) as (page, more):
        assert [key for key, _ in page] == sorted(k for k in model[PACK] if b"%08d" % 50 <= k < b"%08d" % 60)
        assert more is None


def test_several_values_are_pinned_while_they_are_looked_at(shelf: Shelf) -> None:
    shelf.put(WAIT, b"a", b"1")
    assert shelf.keeper.flush(shelf.number)
    shelf.put(WAIT, b"b", b"2")
    region = shelf.journal.regions[-1]
    with shelf.tables.many(WAIT, [b"b", b"x", b"a"]) as values:
        assert [None if value is None else bytes(value) for value in values] == [b"2", None, b"1"]
        assert region.pins == 1
    assert region.pins == 0
    shelf.delete(WAIT, b"a")
    assert shelf.tables.several(WAIT, [b"a", b"b"]) == [None, b"2"]


def test_index_rows_weigh_what_they_take(shelf: Shelf) -> None:
    shelf.change(*((BY_CODE, b"451\0%013d" % n, b"", True) for n in range(100)))
    assert shelf.tables.keys_in_mind() == 100
    assert shelf.tables.bytes < 30_000
    entries = {id(entry) for entry in dict(shelf.tables._entries[NUMBER[BY_CODE]].items()).values()}
    assert len(entries) == 1, "rows of one frame that are alike share their entry"
    shelf.change(*((BY_CODE, b"451\0%013d" % n, None, False) for n in range(100)))
    assert shelf.tables.keys_in_mind() == shelf.tables.bytes == 0
    assert all(not region.live for region in shelf.journal.regions)


def test_many_index_rows_are_moved_early(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "_MOST_KEYS", 300)
    numbers = list(range(1500))
    random.Random(1).shuffle(numbers)
    for n in numbers:
        shelf.change((BY_CODE, b"451\0%013d" % n, b"", True))
        if n % 100 == 0:
            shelf.keeper._turn()
    shelf.keeper._turn()
    assert shelf.tables.keys_in_mind() <= 300 + (16 << 10) // 512
    assert list(shelf.all(BY_CODE, 100)) == [b"451\0%013d" % n for n in range(1500)]


def test_many_removals_are_moved_early(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take nothing but a few bytes of the journal, and much more of memory."""
    keys = [b"%013d" % n for n in range(2000)]
    for at in range(0, 2000, 50):
        shelf.change(*((RELAY, key, b"x" * 20, True) for key in keys[at : at + 50]))
    assert shelf.keeper.flush(shelf.number)
    monkeypatch.setattr(keeper, "_MOST_KEYS", 300)
    for at in range(0, 2000, 50):
        shelf.change(*((RELAY, key, None, False) for key in keys[at : at + 50]))
        shelf.keeper._turn()
    assert shelf.tables.keys_in_mind() <= 300 + (16 << 10) // 1024 * 50
    assert shelf.all(RELAY) == {}


def test_a_transaction_ends_where_its_changes_have_cost_enough(shelf: Shelf) -> None:
    for n in range(10):
        shelf.change((BY_CODE, b"%d" % n, b"", True), (BY_DUE, b"%d" % n, b"", True))
    region = shelf.journal.regions[-1]
    costs = list(EQUAL)
    costs[NUMBER[BY_CODE]] = 5.0
    first = shelf.tables.next_to_move(region, 1 << 20, costs, 20)
    assert [DATABASES[table] for table, _, _ in first] == [BY_DUE] * 10 + [BY_CODE] * 2
    shelf.tables.kept(region, first)


def test_what_takes_long_has_fewer_changes_the_next_time(shelf: Shelf) -> None:
    keeper, code, due = shelf.keeper, NUMBER[BY_CODE], NUMBER[BY_DUE]
    keeper._costs[code] = keeper._costs[due] = 1e-5
    entry = Entry(Region(0, memoryview(b"")), 0, -1, False)
    keeper._pace([(code, b"%d" % n, entry) for n in range(900)] + [(due, b"k", entry)] * 100, 0.02)
    assert keeper._costs[code] == pytest.approx(1.9e-5)
    assert keeper._costs[due] == pytest.approx(1.1e-5), "it had a small part in it"
    keeper._pace([(code, b"%d" % n, entry) for n in range(900)], 0.001)
    assert keeper._costs[code] == pytest.approx(1.9e-5 * 0.8), "not at once"
    for _ in range(100):
        keeper._pace([(code, b"k", entry)], 1.0)
    assert keeper._costs[code] == pytest.approx(0.01 / 200), "so many it has at least"


def test_a_region_is_arranged_by_table_and_key(shelf: Shelf) -> None:
    for n in (5, 1, 3):
        shelf.change((BY_CODE, b"%d" % n, b"", True), (BY_DUE, b"%d" % n, b"", True))
    region = shelf.journal.regions[-1]
    shelf.tables.arrange(region)
    batch = shelf.tables.next_to_move(region, 1 << 20, EQUAL, 4)
    assert [(DATABASES[table], key) for table, key, _ in batch] == [
        (BY_DUE, b"1"), (BY_DUE, b"3"), (BY_DUE, b"5"), (BY_CODE, b"1"),
    ]  # fmt: skip
    shelf.tables.kept(region, batch)
