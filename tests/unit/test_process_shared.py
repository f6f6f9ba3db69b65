"""Memory that crosses a fork."""

import os

from fastsmtp.process.shared import Heartbeats, regions


def test_a_child_writes_what_the_parent_reads() -> None:
    beats = Heartbeats(3)
    areas = regions([0, 7], 4096)
    pid = os.fork()
    if pid == 0:
        beats.beat(1, 12.5)
        areas[7][:4] = b"seen"
        os._exit(0)
    os.waitpid(pid, 0)
    assert [beats.last(slot) for slot in range(3)] == [0.0, 12.5, 0.0]
    assert bytes(areas[7][:4]) == b"seen"
    assert not any(areas[0])
    assert len(areas[0]) == 4096
