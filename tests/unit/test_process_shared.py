"""Memory that crosses a fork."""

import os

from fastsmtp.process.shared import Heartbeats, Regions, Rows


def test_a_child_writes_what_the_parent_reads() -> None:
    beats = Heartbeats(3)
    areas = Regions(8, 4096)
    pid = os.fork()
    if pid == 0:
        beats.beat(1, 12.5)
        areas.of(7)[:4] = b"seen"
        os._exit(0)
    os.waitpid(pid, 0)
    assert [beats.last(row) for row in range(3)] == [0.0, 12.5, 0.0]
    assert bytes(areas.of(7)[:4]) == b"seen"
    assert not any(areas.of(6))
    assert len(areas.of(0)) == 4096


def test_a_shard_beyond_those_that_were_foreseen_has_memory_of_its_own() -> None:
    areas = Regions(2, 64)
    areas.of(9)[:4] = b"here"
    assert len(areas.of(9)) == 64
    assert not any(areas.of(1))


def test_a_row_is_one_process_at_a_time() -> None:
    rows = Rows(3)
    assert [rows.take() for _ in range(3)] == [0, 1, 2]
    assert rows.free == 0
    rows.give_back(1)
    assert rows.free == 1
    assert rows.take() == 1
