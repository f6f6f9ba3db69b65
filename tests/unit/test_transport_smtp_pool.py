"""Which connection is kept, handed out, or let go, and when."""

import pytest

from fastsmtp.transport.smtp.pool import Pool


class Connection:
    def __init__(self, opened: float = 0) -> None:
        self.opened = opened
        self.uses = 1
        self.idle_since = 0.0
        self.alive = True
        self.retired = 0

    def retire(self) -> None:
        self.retired += 1


@pytest.fixture
def pool() -> Pool[Connection]:
    return Pool(idle=5, uses=10, lifetime=60)


def test_handed_out_by_its_key_only(pool: Pool[Connection]) -> None:
    one = Connection()
    pool.give(("mx", "may"), one, 0)
    assert pool.take(("mx", "verify"), 1) is None
    assert pool.take(("mx", "may"), 1) is one
    assert pool.take(("mx", "may"), 1) is None
    assert one.retired == 0


def test_the_latest_first_so_that_the_others_age(pool: Pool[Connection]) -> None:
    old, new = Connection(), Connection()
    pool.give("a", old, 0)
    pool.give("a", new, 3)
    assert pool.take("a", 4) is new
    pool.give("a", new, 4)
    pool.tick(4.9)
    assert (old.retired, new.retired, len(pool)) == (0, 0, 2)
    pool.tick(5)
    assert (old.retired, new.retired, len(pool)) == (1, 0, 1)
    pool.tick(9)
    assert (new.retired, len(pool)) == (1, 0)


def test_the_dead_are_never_handed_out(pool: Pool[Connection]) -> None:
    live, dead = Connection(), Connection()
    pool.give("a", live, 0)
    pool.give("a", dead, 0)
    dead.alive = False
    assert pool.take("a", 1) is live
    assert dead.retired == 1
    pool.give("a", dead, 1)
    assert len(pool) == 0


def test_used_up(pool: Pool[Connection]) -> None:
    one = Connection()
    one.uses = 9
    pool.give("a", one, 0)
    assert pool.take("a", 0) is one
    one.uses = 10
    pool.give("a", one, 0)
    assert (one.retired, len(pool)) == (1, 0)


def test_too_old_on_the_way_in_and_on_the_way_out(pool: Pool[Connection]) -> None:
    one, other = Connection(), Connection()
    pool.give("a", one, 58)
    assert pool.take("a", 60) is None
    pool.give("a", other, 60)
    assert (one.retired, other.retired, len(pool)) == (1, 1, 0)


def test_nothing_is_kept_when_idle_is_0() -> None:
    pool: Pool[Connection] = Pool(idle=0, uses=10, lifetime=60)
    one = Connection()
    pool.give("a", one, 0)
    assert (one.retired, len(pool)) == (1, 0)


def test_one_that_is_gone_is_forgotten(pool: Pool[Connection]) -> None:
    one, other = Connection(), Connection()
    pool.give("a", one, 0)
    pool.give("a", other, 0)
    pool.remove(other)
    pool.remove(other)
    assert other.retired == 0
    assert pool.take("a", 0) is one


def test_so_many_at_most() -> None:
    pool: Pool[Connection] = Pool(idle=5, uses=10, lifetime=60, most=2)
    many = [Connection() for _ in range(3)]
    for number, one in enumerate(many):
        pool.give(number, one, 0)
    assert [one.retired for one in many] == [1, 0, 0]
    pool.clear()
    assert [one.retired for one in many] == [1, 1, 1]
    assert len(pool) == 0
