"""What the spool holds, by table and key: the journal's last changes in front of the tree.

An *entry* is the last change of a key that the tree does not have yet: where the value stands in the journal, or
that the key is deleted. The value itself is never copied into memory: a reader looks at the mapped file, which a
pin keeps from being written over. Mail delivered at once never enters the tree: its entry comes and goes.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

from msgspec import Struct

from fastsmtp.spool.journal import Change, Journal, Region
from fastsmtp.spool.order import PIECE, Order, in_order
from fastsmtp.store import Store
from fastsmtp.threads import let_in

PACK, INTENT, MAIL, BODY, STATE = b"pack", b"intent", b"mail", b"body", b"journal"
RELAY, WAIT = b"relay", b"wait"
BY_DOMAIN, BY_RCPT, BY_SENDER, BY_FROM = b"by-domain", b"by-rcpt", b"by-sender", b"by-from"
BY_CODE, BY_DUE, HELD = b"by-code", b"by-due", b"held"
INDEXES = (BY_DOMAIN, BY_RCPT, BY_SENDER, BY_FROM, BY_CODE, BY_DUE, HELD)
DATABASES = (PACK, INTENT, MAIL, BODY, STATE, RELAY, WAIT, *INDEXES)
"""The tree's databases. The journal knows them by their place here, so the order is part of the format."""
_PAGE = 4096
_SMALL = 1024
"""Bytes of a value that shares its page with others; pages are half full at worst, and so count double."""
_ROW = 1024
_NODE = 96
"""About the bytes of a key, and of what the tree keeps beside it."""
_PARTS, _OWN = 16, 24
NUMBER = {name: number for number, name in enumerate(DATABASES)}
_FIRST_INDEX = NUMBER[BY_DOMAIN]
APPLIED = b"applied"
"""Key of ``journal``: all changes up to this number are in the tree."""


class Entry(Struct, gc=False):
    """The last change of a key; ``end`` is -1 when it is deleted. ``new``: the tree has no such key. Keys of one
    frame may share it when they have the same value. There may be so many that looking for cycles among them would
    hold up everybody, and there are none: a region does not know its entries."""

    region: Region
    start: int
    end: int
    new: bool


Batch = list[tuple[int, bytes, Entry]]


class Entries:
    """The entries of a table by their keys, in dicts that stay short: one that needs room for its 200,000th key puts
    all of them into new places, which is 20 ms in which no thread runs."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: tuple[dict[bytes, Entry], ...] = tuple({} for _ in range(_PARTS))

    def near(self, key: bytes) -> dict[bytes, Entry]:
        """The dict that has ``key``, if any has."""
        return self._parts[hash(key) >> _OWN & _PARTS - 1]  # a dict itself goes by the last bits

    def get(self, key: bytes) -> Entry | None:
        """The entry of ``key``."""
        return self.near(key).get(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and key in self.near(key)

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __iter__(self) -> Iterator[bytes]:
        return chain.from_iterable(self._parts)

    def items(self) -> Iterator[tuple[bytes, Entry]]:
        """All, in no order."""
        return chain.from_iterable(part.items() for part in self._parts)


class Tables:
    """Changed by the writer (`apply`) and the keeper (`moved`), read by anybody."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self.bytes = 0
        """About what the entries would take there."""
        self._store = store
        self._journal = journal
        self._entries = [Entries() for _ in DATABASES]
        self._order = [Order(entries) for entries in self._entries]
        self._counts = [0 for _ in DATABASES]
        self._lock = threading.Lock()

    # --- changes ------------------------------------------------------------------------------------
    def apply(self, region: Region, at: int, changes: Sequence[Change]) -> None:
        """A frame that begins at ``at`` of ``region`` is durable."""
        counts = self._counts
        ours: dict[int, list[bytes]] = {}
        same: dict[int, Entry] = {}  # index rows are many, and there are few different ones of them
        with self._lock:
            for table, key, start, end, new in changes:
                entries = self._entries[table].near(key)
                old = entries.get(key)
                if end < 0:
                    if old is None or old.end >= 0:
                        counts[table] -= 1
                elif new:
                    counts[table] += 1
                if old is not None:
                    old.region.live -= 1
                    self.bytes -= _weight(old)
                    new = old.new
                else:
                    self._order[table].added(key)
                if end < 0:
                    if new:  # neither the tree nor the journal has it any more
                        del entries[key]
                        self._order[table].gone()
                        continue
                    entry = same.get(-1) or same.setdefault(-1, Entry(region, 0, -1, False))
                elif table < _FIRST_INDEX:
                    entry = Entry(region, at + start, at + end, new)
                    self.bytes += _weight(entry)
                else:
                    kind = 2 * (region.view[at + start] + 1 if end > start else 0) + new
                    entry = same.get(kind) or same.setdefault(kind, Entry(region, at + start, at + end, new))
                    self.bytes += _weight(entry)
                entries[key] = entry
                region.live += 1
                if table in ours:
                    ours[table].append(key)
                else:
                    ours[table] = [key]
            for table, keys in ours.items():
                region.keys.setdefault(table, []).append(tuple(keys))

    def keys_in_mind(self) -> int:
        """How many entries there are: a removal, or the row of an index, takes few bytes of the journal, but some 200
        of memory."""
        return sum(map(len, self._entries))

    def arrange(self, region: Region) -> None:
        """``region`` is to be moved: by table and key, so that a transaction changes pages that lie together, each of
        them once. The keeper's."""
        with self._lock:
            waiting, region.keys = region.keys, {}
        ordered = {table: in_order(pieces)[::-1] for table, pieces in waiting.items()}
        with self._lock:
            region.keys = ordered

    def next_to_move(
        self, region: Region, most_bytes: int, costs: Sequence[float], most_cost: float
    ) -> Batch:
        """Some of what stands in ``region`` and is to be moved into the tree, of the last table first; pinned until
        `moved` or `kept`. A key may come twice in a row. ``costs`` says what a change of each table costs."""
        batch: Batch = []
        size, left = 0, most_cost
        with self._lock:
            region.pins += 1
        for table in sorted(region.keys, reverse=True):
            pieces, entries = region.keys[table], self._entries[table]
            cost = costs[table]
            while pieces and size < most_bytes and left > 0:
                piece = pieces.pop()
                looked = 0
                with self._lock:
                    for key in piece:
                        if size >= most_bytes or left <= 0:
                            break
                        looked += 1
                        entry = entries.get(key)
                        if entry is not None and entry.region is region:
                            entry.new = False
                            size += pages((table, key, entry))
                            batch.append((table, key, entry))
                            left -= cost
                if looked < len(piece):
                    pieces.append(piece[looked:])
                let_in()
        return batch

    def moved(self, region: Region, batch: Batch) -> None:
        """The tree has them, durably."""
        for at in range(0, len(batch), PIECE):
            with self._lock:
                for table, key, entry in batch[at : at + PIECE]:
                    entries = self._entries[table].near(key)
                    if entries.get(key) is entry:
                        del entries[key]
                        self._order[table].gone()
                        region.live -= 1
                        self.bytes -= _weight(entry)
            let_in()
        with self._lock:
            region.pins -= 1

    def kept(self, region: Region, batch: Batch) -> None:
        """The tree could not take them."""
        with self._lock:
            region.pins -= 1
            for table, changes in groupby(batch, key=itemgetter(0)):
                region.keys[table].append(tuple(key for _, key, _ in changes))

    # --- copying ------------------------------------------------------------------------------------
    def pin_all(self) -> list[tuple[Region, int]]:
        """See `Journal.standing`; pinned until `unpin`. Together with what the tree has, now or later, they are all
        that is kept until the next `apply`, so call it on the writer's thread."""
        with self._lock:
            standing = self._journal.standing()
            for region, _ in standing:
                region.pins += 1
        return standing

    def unpin(self, region: Region) -> None:
        """The end of one pin."""
        with self._lock:
            region.pins -= 1

    # --- reading ------------------------------------------------------------------------------------
    @contextmanager
    def reading(self, table: bytes, key: bytes) -> Iterator[Any]:
        """The value of a key, as memory of a mapped file, for a short time; None when there is none."""
        with self._lock:
            entry = self._entries[NUMBER[table]].get(key)
            if entry is not None:
                entry.region.pins += 1
        if entry is None:
            with self._store.read() as txn:
                yield txn.get(key, db=self._store.db[table])
            return
        try:
            yield None if entry.end < 0 else entry.region.view[entry.start : entry.end]
        finally:
            with self._lock:
                entry.region.pins -= 1

    @contextmanager
    def page(
        self, table: bytes, start: bytes = b"", end: bytes | None = None, limit: int = 1 << 62
    ) -> Iterator[tuple[list[tuple[bytes, Any]], bytes | None]]:
        """Up to ``limit`` keys from ``start`` on, below ``end``, with their values, and where to go on (None: there
        are no more)."""
        with self._lock:
            entries = self._entries[NUMBER[table]]
            keys = self._order[NUMBER[table]].first(start, end, limit + 1) if entries else ()
            ours = [(key, entries.near(key)[key]) for key in keys]
            for _, entry in ours:
                entry.region.pins += 1
        try:
            with self._store.read() as txn:
                yield _merged(ours, txn.cursor(db=self._store.db[table]), start, end, limit)
        finally:
            with self._lock:
                for _, entry in ours:
                    entry.region.pins -= 1

    @contextmanager
    def many(self, table: bytes, keys: Sequence[bytes]) -> Iterator[list[Any]]:
        """The values of several keys, as `reading` gives one."""
        pinned: list[Entry] = []
        with self._lock:
            entries = self._entries[NUMBER[table]]
            ours = [entries.get(key) for key in keys]
            for entry in ours:
                if entry is not None:
                    entry.region.pins += 1
                    pinned.append(entry)
        try:
            with self._store.read() as txn:
                db = self._store.db[table]
                yield [
                    txn.get(key, db=db)
                    if entry is None
                    else None
                    if entry.end < 0
                    else entry.region.view[entry.start : entry.end]
                    for key, entry in zip(keys, ours, strict=True)
                ]
        finally:
            with self._lock:
                for entry in pinned:
                    entry.region.pins -= 1

    def several(self, table: bytes, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of several keys, copied."""
        with self.many(table, keys) as values:
            return [None if value is None else bytes(value) for value in values]

    def which(self, table: bytes, keys: Sequence[bytes]) -> list[bool]:
        """Of each key whether it is there."""
        with self.many(table, keys) as values:
            return [value is not None for value in values]

    def recount(self, *names: bytes) -> None:
        """Begin to keep count of the keys of these tables, before anybody changes them. It looks at what stands in
        the journal, which may stand in the tree too."""
        with self._store.read() as txn:
            for name in names:
                number, db = NUMBER[name], self._store.db[name]
                count = txn.stat(db)["entries"]
                for key, entry in self._entries[number].items():
                    count += (entry.end >= 0) - (txn.get(key, db=db) is not None)
                self._counts[number] = count

    def count(self, table: bytes) -> int:
        """How many keys there are of a table that `recount` was told of, if nobody deletes what is not there."""
        return max(0, self._counts[NUMBER[table]])

    def keys(self, table: bytes) -> Iterator[bytes]:
        """All keys, in order; in pages, so that nothing is held up meanwhile."""
        position: bytes | None = b""
        while position is not None:
            with self.page(table, position, limit=1000) as (found, position):
                names = [key for key, _ in found]
            yield from names

    def has(self, table: bytes, key: bytes) -> bool:
        """Whether there is such a key."""
        with self.reading(table, key) as value:
            return value is not None


def pages(change: tuple[int, bytes, Entry]) -> int:
    """Bytes a move of it may need in the tree: its value in whole pages, and the page it is noted in, which index
    rows share with others of their batch."""
    return _ROW if change[0] >= _FIRST_INDEX else _weight(change[2]) or _PAGE


def _weight(entry: Entry) -> int:
    if entry.end < 0:
        return 0
    size = entry.end - entry.start
    return 2 * (size + _NODE) if size < _SMALL else (size + 2 * _PAGE) // _PAGE * _PAGE


def _merged(
    ours: list[tuple[bytes, Entry]], cursor: Any, start: bytes, end: bytes | None, limit: int
) -> tuple[list[tuple[bytes, Any]], bytes | None]:
    found: list[tuple[bytes, Any]] = []
    more = cursor.set_range(start) if start else cursor.first()
    theirs = bytes(cursor.key()) if more else None
    looked = 0  # of ours; one more than `limit` were asked for, so that the last is never looked at
    while True:
        if theirs is not None and end is not None and theirs >= end:
            theirs = None
        mine = ours[looked][0] if looked < len(ours) else None
        if mine is None and theirs is None:
            return found, None
        key = mine if theirs is None or (mine is not None and mine <= theirs) else theirs
        assert key is not None
        if len(found) >= limit or looked >= limit:
            return found, key
        if key == mine:
            entry = ours[looked][1]
            looked += 1
            if entry.end >= 0:
                found.append((key, entry.region.view[entry.start : entry.end]))
        else:
            found.append((key, cursor.value()))
        if key == theirs:
            theirs = bytes(cursor.key()) if cursor.next() else None
