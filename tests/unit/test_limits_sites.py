"""The limits of a site hold over all workers together, whoever comes and whoever dies."""

import fcntl
import os

import pytest

from fastsmtp.limits.sites import AGAIN, ROWS, SiteClaims, SiteTable
from tests.fakes.clock import FakeClock

SITE = "mx.far.test"


def table(workers: int = 2, per_site: int = 4, per_minute: int = 0) -> tuple[SiteTable, FakeClock]:
    clock = FakeClock()
    return SiteTable(workers, per_site, per_minute, clock), clock


def taken(claims: SiteClaims, most: int = 100) -> int:
    """How many it gets in a row."""
    count = 0
    while count < most and not claims.claim(SITE):
        count += 1
    return count


def test_a_worker_alone_has_all_there_is() -> None:
    sites, _ = table()
    assert taken(sites.worker(0)) == 4
    assert sites.worker(1).claim(SITE) == AGAIN
    assert sites.worker(1).claim("mx.other.test") == 0


def test_what_is_released_can_be_taken_by_another() -> None:
    sites, _ = table(per_site=1)
    one, two = sites.worker(0), sites.worker(1)
    assert one.claim(SITE) == 0
    one.release(SITE, used=True)
    assert two.claim(SITE) == 0
    assert one.claim(SITE) == AGAIN


def test_two_who_want_more_than_there_is_share_it() -> None:
    sites, _ = table(per_site=4)
    one, two = sites.worker(0), sites.worker(1)
    assert taken(one) == 4
    assert two.claim(SITE) == AGAIN
    for _ in range(2):
        one.release(SITE, used=True)
        assert one.claim(SITE) == AGAIN, "it is the other's"
        assert two.claim(SITE) == 0
    assert (taken(one), taken(two)) == (0, 0)
    one.release(SITE, used=True)
    assert two.claim(SITE) == AGAIN, "it has its half"
    assert one.claim(SITE) == 0


def test_one_that_cannot_be_divided_goes_round() -> None:
    sites, clock = table(workers=3, per_site=1)
    workers = [sites.worker(slot) for slot in range(3)]
    order = [0, 1, 2]
    who = []
    for _ in range(7):
        holders = [slot for slot in order if not workers[slot].claim(SITE)]
        assert len(holders) == 1
        who += holders
        workers[holders[0]].release(SITE, used=True)  # whoever had it is the first to ask again
        order.sort(key=lambda slot: slot != who[-1])
        clock.pass_by(1)
    assert sorted(who[1:]) == [0, 0, 1, 1, 2, 2]


def test_who_has_enough_leaves_all_to_others() -> None:
    sites, _ = table()
    one, two = sites.worker(0), sites.worker(1)
    assert taken(one) == 4
    two.claim(SITE)
    two.enough(SITE)
    one.release(SITE, used=True)
    assert one.claim(SITE) == 0
    two.claim(SITE)
    two.close()
    one.release(SITE, used=True)
    assert one.claim(SITE) == 0


def test_what_a_dead_worker_held_is_free() -> None:
    sites, _ = table(per_site=2)
    one, two = sites.worker(0), sites.worker(1)
    pid = os.fork()
    if not pid:
        one.claim(SITE)
        one.claim(SITE)
        one.claim(SITE)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert two.claim(SITE) == AGAIN
    sites.clear(0)
    assert taken(two) == 2


def test_the_rate_is_that_of_all_together() -> None:
    sites, clock = table(per_site=100, per_minute=60)
    workers = [sites.worker(slot) for slot in range(2)]
    count = 0
    for _ in range(600):
        for each in workers:
            if not each.claim(SITE):
                count += 1
                each.release(SITE, used=True)
        clock.pass_by(0.1)
    assert 54 <= count <= 60


def test_one_second_s_share_may_go_at_once_and_what_was_not_used_is_given_back() -> None:
    sites, clock = table(per_site=100, per_minute=240)
    one, two = sites.worker(0), sites.worker(1)
    assert taken(one) == 4
    assert two.claim(SITE) == pytest.approx(0.25)
    one.release(SITE, used=False)
    assert two.claim(SITE) == 0
    clock.pass_by(3600)
    assert taken(one) == 4


def test_never_more_than_the_limit_in_several_processes() -> None:
    """Each counts what all hold while it holds one."""
    sites, clock = table(workers=4, per_site=2)
    row = sites.worker(0)._row(SITE)
    pids = []
    for slot in range(4):
        pid = os.fork()
        if pid:
            pids.append(pid)
            continue
        good = 0
        try:
            mine = sites.worker(slot)
            while good < 200:
                clock.pass_by(0.01)
                if not mine.claim(SITE):
                    good += 1
                    if sum(sites.held[row * 4 : row * 4 + 4]) > 2:
                        os._exit(1)
                    mine.release(SITE, used=True)
            mine.close()
        finally:
            os._exit(0 if good == 200 else 2)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 4
    assert sum(sites.held[row * 4 : row * 4 + 4]) == 0


def test_a_row_that_is_being_looked_at_is_asked_for_again() -> None:
    """Nobody waits for another, not even for one that stands still."""
    sites, _ = table()
    ready, ready_in = os.pipe()
    over, over_in = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(over_in)  # so that it ends with this process, whatever happens
        fcntl.lockf(sites.fd, fcntl.LOCK_EX, 1, sites.worker(0)._row(SITE))
        os.write(ready_in, b"x")
        os.read(over, 1)
        os._exit(0)
    os.read(ready, 1)
    assert sites.worker(1).claim(SITE) == AGAIN
    os.write(over_in, b"x")
    os.waitpid(pid, 0)
    assert sites.worker(1).claim(SITE) == 0, "the kernel gives back what a dead one held"
    for fd in (ready, ready_in, over, over_in):
        os.close(fd)


def test_pages_are_taken_only_when_they_are_written() -> None:
    sites, _ = table(workers=8)
    assert os.fstat(sites.fd).st_size == ROWS * (8 * 4 + 8)
    assert os.fstat(sites.fd).st_blocks == 0
