"""Growing the data file ahead, and admitting mail by what is left."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fastsmtp.spool import growth as module
from fastsmtp.spool.growth import MARGIN, Growth
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
    assert bench.growth.admit(MB, MB // 2, lambda: 0)
    assert not bench.growth.admit(5 * MB, MB // 2, lambda: 3 * MB)
    assert bench.growth.admit(5 * MB, MB // 2, lambda: MB)


def test_a_full_disk_keeps_the_reserve_and_is_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert not bench.growth.admit(high, MB // 2, lambda: high)
    assert bench.growth.admit(high, MB // 2, lambda: high - 2 * MB)
    full[0] = False
    bench.growth.grow(high)
    assert not bench.work, "not before a second has passed"
    bench.clock.pass_by(2)
    bench.growth.grow(high)
    bench.run()
    assert bench.growth.admit(high, MB // 2, lambda: high)


def test_a_transaction_waits_until_it_has_room_of_its_own(bench: Bench) -> None:
    bench.growth.start(8192)
    started = len(bench.work)
    assert started == 1
    bench.growth._run = lambda work: work()  # the other thread at last
    bench.run()
    assert bench.growth.admit(8192, 4 * MB - MARGIN, lambda: 0)
    bench.growth.settle()
    bench.growth.stop()
    bench.growth.grow(60 * MB)
    assert not bench.work
