"""The order of a table's entries, against sorting them each time."""

import gc
import random

import pytest

from fastsmtp.spool import order as module
from fastsmtp.spool.order import PIECE, KeySet, Order, in_order


@pytest.mark.parametrize("seed", range(20))
def test_against_a_sort(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(seed)
    monkeypatch.setattr(module, "_RUN", dice.choice([1, 40, 2048]))
    monkeypatch.setattr(module, "_SLACK", dice.choice([0, 1000]))
    keys: dict[bytes, None] = {}
    order = Order(keys)
    for _ in range(300):
        what = dice.random()
        if what < 0.5:
            for _ in range(dice.choice([1, 5, 300])):
                key = b"%04d" % dice.randrange(3000)
                if key not in keys:
                    keys[key] = None
                    order.added(key)
        elif what < 0.8:
            for key in dice.sample(list(keys), len(keys) // dice.choice([2, 10])):
                del keys[key]
                order.gone()
        else:
            start, end = b"%04d" % dice.randrange(3000), dice.choice([None, b"%04d" % dice.randrange(3000)])
            limit = dice.choice([1, 10, 10_000])
            right = sorted(key for key in keys if key >= start and (end is None or key < end))[:limit]
            assert order.first(start, end, limit) == right


def test_what_is_gone_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SLACK", 0)
    keys: dict[bytes, None] = {}
    order = Order(keys)
    for n in range(100_000):
        key = b"%06d" % (n * 7919 % 100_003)
        keys[key] = None
        order.added(key)
        if n >= 1000:
            del keys[next(iter(keys))]
            order.gone()
    assert sum(map(len, order._runs)) <= 4 * 2048
    assert order.first(b"", None, 2000) == sorted(keys)


def test_what_comes_and_goes_again_and_again_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SLACK", 1000)
    keys: dict[bytes, None] = {}
    order = Order(keys)
    for _ in range(10):
        for n in range(3000):
            keys[b"%d" % n] = None
            order.added(b"%d" % n)
        assert sum(map(len, order._runs)) <= 2 * 3000 + 1000 + 2048
        for n in range(3000):
            del keys[b"%d" % n]
            order.gone()
    assert order.first(b"", None, 5) == []


def test_a_reader_passes_what_is_gone_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.Order, "_clean", lambda self: None)
    keys: dict[bytes, None] = {}
    order = Order(keys)
    for n in range(100_000):
        keys[b"%06d" % n] = None
        order.added(b"%06d" % n)
    for n in range(99_000):
        del keys[b"%06d" % n]
        order.gone()
    for _ in range(3):
        assert order.first(b"", None, 2) == [b"099000", b"099001"]
    assert sum(map(len, order._runs)) < 3000


@pytest.mark.parametrize("count", [0, 1, 500, 501, 10_000])
def test_pieces_are_sorted_together(count: int) -> None:
    keys = [b"%06d" % (n * 7919 % 100_003) for n in range(count)]
    pieces = in_order([tuple(keys[at : at + 33]) for at in range(0, count, 33)])
    assert [key for piece in pieces for key in piece] == sorted(keys)
    assert all(0 < len(piece) <= PIECE for piece in pieces)


def test_what_is_kept_for_long_is_not_looked_through_by_the_collector_of_cycles() -> None:
    keys: dict[bytes, None] = {}
    order = Order(keys)
    for n in range(10_000):
        keys[b"%06d" % n] = None
        order.added(b"%06d" % n)
    pieces = in_order([tuple(keys)])
    gc.collect()
    assert not any(map(gc.is_tracked, (*order._runs, *pieces)))


def test_a_set_of_keys_has_each_once_and_in_order() -> None:
    keys = KeySet()
    for key in (b"c", b"a", b"b", b"a"):
        keys.add(key)
    assert len(keys) == 3
    assert keys.first(b"", 2) == [b"a", b"b"]
    keys.discard(b"a")
    keys.discard(b"never there")
    assert keys.first(b"", 10) == [b"b", b"c"]
    keys.add(b"a")
    assert keys.first(b"", 10) == [b"a", b"b", b"c"]
    assert keys.first(b"b", 10) == [b"b", b"c"]
