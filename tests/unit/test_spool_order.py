"""The order of a table's entries, against sorting them each time."""

import random

import pytest

from fastsmtp.spool import order as module
from fastsmtp.spool.order import Order


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
