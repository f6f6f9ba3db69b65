"""A change of much mail goes on in pieces, a few ahead of their commits, and no longer than a call may."""

from collections import deque
from collections.abc import Callable

import pytest

from fastsmtp.spool import bulk
from fastsmtp.spool.base import SpoolError, SpoolFailed
from fastsmtp.spool.bulk import MOST, PIECE, Bulk, Changed, Picked
from fastsmtp.spool.changes import Job
from tests.fakes.clock import FakeClock


class Bench:
    """A bulk change whose messages are numbers up to ``count``, and whose commits are made by hand."""

    def __init__(self, count: int, action: bulk.Action = "hold", empty: bool = False) -> None:
        self.clock = FakeClock()
        self.posted: deque[Callable[[], None]] = deque()
        self.jobs: list[Job] = []
        self.told: list[str] = []
        self.over: list[tuple[SpoolError | None, Changed]] = []
        self._count = count
        self._empty = empty
        self.bulk = Bulk(
            action, (), b"0",
            pick=self._pick, changed=self.told.extend,
            done=lambda error, what: self.over.append((error, what)),
            job=self.jobs.append, post=self.posted.append, remove_body=lambda one: None,
            monotonic=self.clock.monotonic,
        )  # fmt: skip
        self.bulk._change = lambda changes, ids, gone: [one for one, _ in ids]  # type: ignore[method-assign]

    def _pick(self, position: bytes, limit: int) -> Picked:
        start = int(position)
        end = min(start + limit, self._count)
        ids = [] if self._empty else [(str(n), False) for n in range(start, end)]
        return Picked(ids, b"%d" % end if end < self._count else None, end - start, False)

    def turn(self) -> None:
        while self.posted:
            self.posted.popleft()()

    def commit(self, error: SpoolError | None = None) -> None:
        job = self.jobs.pop(0)
        if error is None:
            job.apply(None)  # type: ignore[arg-type]
        job.finish(error)
        self.turn()


def test_pieces_are_picked_while_others_are_committed() -> None:
    bench = Bench(5 * PIECE["hold"])
    bench.bulk.begin()
    bench.turn()
    assert len(bench.jobs) == 2, "no more than that are ahead"
    for left in (2, 2, 2, 1, 0):
        bench.commit()
        assert len(bench.jobs) == left
    error, what = bench.over.pop()
    assert not bench.over
    assert error is None
    assert what.ids == bench.told == [str(n) for n in range(5 * PIECE["hold"])]
    assert (what.position, what.skipped, what.looked) == (None, 0, 5 * PIECE["hold"])


@pytest.mark.parametrize("action", list(PIECE))
def test_a_call_is_bounded_by_messages(action: bulk.Action) -> None:
    bench = Bench(100_000, action)
    bench.bulk.begin()
    bench.turn()
    while bench.jobs:
        bench.commit()
    what = bench.over[0][1]
    assert MOST <= len(what.ids) < MOST + PIECE[action]
    assert what.position == b"%d" % len(what.ids)


@pytest.mark.parametrize("empty", [False, True])
def test_a_call_is_bounded_by_time(empty: bool) -> None:
    bench = Bench(1_000_000, empty=empty)
    bench.bulk.begin()
    bench.clock.pass_by(1.0)
    bench.turn()
    if not empty:
        assert len(bench.jobs) == 1
        assert not bench.over
        bench.commit()
    assert bench.over[0][1].position == b"%d" % PIECE["hold"]


def test_an_error_ends_it_with_what_was_done() -> None:
    bench = Bench(100_000)
    bench.bulk.begin()
    bench.turn()
    bench.commit()
    bench.commit(SpoolFailed("no"))
    assert not bench.over, "one more is being committed"
    bench.commit()
    error, what = bench.over[0]
    assert str(error) == "no"
    assert len(what.ids) == len(bench.told) == 2 * PIECE["hold"]
    assert not bench.jobs
