"""The order of a table's entries, against sorting them each time."""

import random

import pytest

from fastsmtp.spool.order import Order


@pytest.mark.parametrize("seed", range(20))
def test_against_a_sort(seed: int) -> None:
    dice = random.Random(seed)
    keys: dict[bytes, None] = {}
    order = Order(keys)
    for _ in range(300):
        what = dice.random()
        if what < 0.5:
            for _ in range(dice.choice([1, 5, 300])):
                key = b"%04d" % dice.randrange(3000)
                if key not in keys:
                    keys[key] = None
                    if order.kept:
                        order.added(key)
        elif what < 0.8:
            for key in dice.sample(list(keys), len(keys) // dice.choice([2, 10])):
                del keys[key]
        else:
            start, end = b"%04d" % dice.randrange(3000), dice.choice([None, b"%04d" % dice.randrange(3000)])
            limit = dice.choice([1, 10, 10_000])
            right = sorted(key for key in keys if key >= start and (end is None or key < end))[:limit]
            assert order.first(start, end, limit) == right


def test_what_nobody_asks_for_is_not_kept() -> None:
    keys: dict[bytes, None] = {b"a": None}
    order = Order(keys)
    assert not order.kept
    assert order.first(b"", None, 5) == [b"a"]
    assert order.kept
    for n in range(2000):
        keys[b"%d" % n] = None
        if order.kept:
            order.added(b"%d" % n)
        del keys[b"%d" % n]
    assert not order.kept
    assert order.first(b"", None, 5) == [b"a"]
