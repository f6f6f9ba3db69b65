"""Growing the data file ahead, and admitting mail by what is left."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fastsmtp.spool import growth as module
from fastsmtp.spool.growth import Growth
from tests.fakes.clock import FakeClock

MB = 1 << 20


class Bench:
    """A growth whose other thread is a list."""

    def __init__(self, path: Path, map_size: int = 64 * MB) -> None:
        self.clock = FakeClock()
        self.work: list[Callable[[], None]] = []
        self.growth = Growth(
            path,
            map_size=map_size,
            ahead=4 * MB,
            reserve=2 * MB,
            run=self.work.append,
            monotonic=self.clock.monotonic,
        )
        self.path = path

    def run(self) -> None:
        while self.work:
            self.work.pop(0)()

    @property
    def size(self) -> int:
        return self.path.stat().st_size


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "data.mdb").write_bytes(b"x" * 8192)
    return Bench(tmp_path / "data.mdb")


def test_it_grows_by_zeros_behind_what_is_there(bench: Bench) -> None:
    bench.growth.start(8192)
    bench.run()
    assert bench.size == 8192 + 6 * MB
    data = bench.path.read_bytes()
    assert data[:8192] == b"x" * 8192
    assert not any(data[8192:])
    assert bench.path.stat().st_blocks * 512 >= bench.size


def test_it_grows_again_when_half_of_it_is_used(bench: Bench) -> None:
    bench.growth.start(8192)
    bench.run()
    bench.growth.grow(MB)
    assert not bench.work
    bench.growth.grow(3 * MB)
    bench.run()
    assert bench.size == 9 * MB


def test_never_beyond_the_map(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"")
    bench = Bench(tmp_path / "data.mdb", map_size=5 * MB)
    bench.growth.start(0)
    bench.run()
    assert bench.size == 5 * MB
    # At the map's end the reserve is kept, counting what is free inside.
    assert bench.growth.fits(MB, MB // 2, lambda: 0)
    assert not bench.growth.fits(5 * MB, MB // 2, lambda: 3 * MB)
    assert bench.growth.fits(5 * MB, MB // 2, lambda: MB)


def test_a_full_disk_keeps_the_reserve_and_is_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.growth.start(8192)
    bench.run()
    full = [True]
    real = os.pwrite

    def pwrite(fd: int, data: bytes, at: int) -> int:
        if full[0]:
            raise OSError(28, "No space left on device")
        return real(fd, data, at)

    monkeypatch.setattr(module.os, "pwrite", pwrite)
    high = 4 * MB
    bench.growth.grow(high)
    bench.run()
    assert bench.size == 8192 + 6 * MB
    assert not bench.growth.fits(high, MB // 2, lambda: high)
    assert bench.growth.fits(high, MB // 2, lambda: high - 2 * MB)
    full[0] = False
    bench.growth.grow(high)
    assert not bench.work, "not before a second has passed"
    bench.clock.pass_by(2)
    bench.growth.grow(high)
    bench.run()
    assert bench.growth.fits(high, MB // 2, lambda: high)


def test_a_transaction_waits_until_nothing_is_being_written(bench: Bench) -> None:
    bench.growth.start(8192)
    assert len(bench.work) == 1
    settled = threading.Event()
    waiting = threading.Thread(target=lambda: (bench.growth.settle(), settled.set()))
    waiting.start()
    while len(bench.work) and not settled.is_set():
        bench.work.pop(0)()
    waiting.join(10)
    assert settled.is_set()
    assert bench.size == 8192 + 6 * MB
    bench.growth.stop()
    bench.growth.grow(60 * MB)
    assert not bench.work


def test_it_begins_where_nothing_is_being_written(tmp_path: Path) -> None:
    """The size of the journal's regions was changed: the first transaction comes before the start."""
    (tmp_path / "data.mdb").write_bytes(b"x" * (20 * MB))  # an earlier run grew it
    bench = Bench(tmp_path / "data.mdb")
    bench.growth.grow(2 * MB)
    started = threading.Thread(target=bench.growth.start, args=(2 * MB,))
    started.start()
    while started.is_alive():
        bench.run()
    assert not bench.work, "what is there suffices"


def test_asking_does_not_make_it_grow(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.growth.start(8192)
    bench.run()
    assert not bench.growth.fits(61 * MB, MB, lambda: 61 * MB)
    assert bench.growth.fits(30 * MB, MB, lambda: 30 * MB)
    assert not bench.work
