"""Runs of an index: what was written is found, and what was damaged is seen."""

import os
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

from fastsmtp.ledger.index import (
    BLOCK,
    Damaged,
    encode_run,
    end_of,
    entries_of,
    positions,
    read_runs,
)

Opener = Callable[[bytes], int]


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    def opener(data: bytes) -> int:
        (tmp_path / "index").write_bytes(data)
        return os.open(tmp_path / "index", os.O_RDONLY)

    return opener


def entries(count: int, hashes: int) -> bytes:
    """``count`` lines of ten octets, whose hashes are 0 to ``hashes`` in turn."""
    return array("Q", sorted((i % hashes) << 32 | i * 10 for i in range(count))).tobytes()


@pytest.mark.parametrize(
    ("count", "hashes"), [(1, 1), (50, 7), (3 * BLOCK, 1), (3 * BLOCK + 5, 2), (40_000, 19_999)]
)
def test_positions_newest_first(opened: Opener, count: int, hashes: int) -> None:
    fd = opened(encode_run(0, count * 10, entries(count, hashes)))
    [run] = read_runs(fd)
    for number in {0, 1, hashes // 2, hashes - 1}:
        assert (
            list(positions(fd, run, number)) == [i * 10 for i in range(count) if i % hashes == number][::-1]
        )
    assert list(positions(fd, run, hashes)) == list(positions(fd, run, (1 << 32) - 1)) == []


def test_runs_one_after_the_other(opened: Opener) -> None:
    parts = [entries(10, 3), b"", entries(20, 3)]
    ends = [0, 100, 150, 400]
    data = b"".join(encode_run(ends[i], ends[i + 1], part) for i, part in enumerate(parts))
    fd = opened(data)
    runs = read_runs(fd)
    assert [(run.begin, run.end, run.last) for run in runs] == [
        (0, 100, False),
        (100, 150, False),
        (150, 400, False),
    ]
    assert end_of(runs) == (400, len(data))
    assert entries_of(fd, runs) == b"".join(parts)


def test_the_last_run_says_so(opened: Opener) -> None:
    assert read_runs(opened(encode_run(0, 9, b"", last=True)))[0].last


def test_nothing_is_no_run(opened: Opener) -> None:
    assert read_runs(opened(b"")) == []
    assert end_of([]) == (0, 0)


@pytest.mark.parametrize("cut", [1, 20, 41, 60, 100])
def test_a_torn_run_is_none(opened: Opener, cut: int) -> None:
    whole, torn = encode_run(0, 100, entries(10, 3)), encode_run(100, 200, entries(10, 3))
    assert [run.end for run in read_runs(opened(whole + torn[:cut]))] == [100]


@pytest.mark.parametrize("at", [0, 8, 16, 24, 32, 36, 40, 48])
def test_a_garbled_head_is_none(opened: Opener, at: int) -> None:
    data = bytearray(encode_run(0, 100, entries(10, 3)))
    data[at] ^= 1
    assert read_runs(opened(bytes(data))) == []


def test_a_run_that_goes_on_elsewhere_is_none(opened: Opener) -> None:
    run = encode_run(0, 100, entries(10, 3))
    assert len(read_runs(opened(run + run))) == 1


def test_a_garbled_block_is_seen_and_others_are_read(opened: Opener) -> None:
    count = 3 * BLOCK
    data = bytearray(encode_run(0, count * 10, entries(count, count)))
    data[-1] ^= 1
    fd = opened(bytes(data))
    [run] = read_runs(fd)
    assert list(positions(fd, run, 5)) == [50]
    with pytest.raises(Damaged):
        list(positions(fd, run, count - 5))
    with pytest.raises(Damaged):
        entries_of(fd, [run])
