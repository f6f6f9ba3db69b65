"""Where refusing begins and where it ends, and what the log says then."""

from pathlib import Path

import pytest

from fastsmtp.limits.marks import Mark, available_mark, disk_marks, memory_mark, queue_mark
from fastsmtp.limits.settings import PressureSettings
from fastsmtp.mail import reply

MIB = 1 << 20


def flag() -> memoryview:
    return memoryview(bytearray(1))


def crossed(mark: Mark, *values: int) -> list[bool]:
    found = []
    for value in values:
        mark.judge(value)
        found.append(mark.crossed)
    return found


def test_what_is_to_stay_above() -> None:
    free, inodes = disk_marks(
        PressureSettings(disk_free=100 * MIB, inodes_free=1000), Path("/x"), flag(), flag()
    )
    assert crossed(free, 100 * MIB, 100 * MIB - 1, 110 * MIB, 125 * MIB - 1, 125 * MIB, 100 * MIB) == [
        False, True, True, True, False, False,
    ]  # fmt: skip
    assert crossed(inodes, 1000, 999, 1249, 1250) == [False, True, True, False]
    assert free.reply == inodes.reply == reply.DISK_LOW


def test_what_is_to_stay_below() -> None:
    queue = queue_mark(PressureSettings(queue=20), flag())
    assert queue is not None
    assert crossed(queue, 0, 19, 20, 19, 18, 19) == [False, False, True, True, False, False]
    assert queue.reply == reply.QUEUE_FULL
    one = queue_mark(PressureSettings(queue=1), flag())
    assert one is not None
    assert crossed(one, 0, 1, 0) == [False, True, False], "the smallest one too can end"


def test_a_beginning_and_an_end_are_told_once_with_figures() -> None:
    free, inodes = disk_marks(PressureSettings(disk_free=256 * MIB), Path("/var/lib/x"), flag(), flag())
    assert free.judge(300 * MIB) is None
    assert free.judge(200 * MIB) == (
        "pressure begins: free space of /var/lib/x is 200.0 MiB, pressure.disk_free is 256.0 MiB; new mail gets 452 "
        "until it is 320.0 MiB: make room there (df)"
    )
    assert free.judge(100 * MIB) is None
    assert free.judge(400 * MIB) == "pressure ends: free space of /var/lib/x is 400.0 MiB"
    assert inodes.judge(9_999) == (
        "pressure begins: number of free inodes of /var/lib/x is 9,999, pressure.inodes_free is 10,000; new mail "
        "gets 452 until it is 12,500: remove files there (df -i)"
    )


def test_two_who_share_a_flag_judge_together() -> None:
    shared = flag()
    one, two = (queue_mark(PressureSettings(queue=10), shared) for _ in range(2))
    assert one is not None
    assert two is not None
    assert one.judge(10) is not None
    assert two.crossed
    assert two.judge(10) is None
    assert two.judge(0) is not None
    assert not one.crossed


def test_zero_is_not_watched() -> None:
    nothing = PressureSettings(disk_free=0, inodes_free=0, memory=0, memory_free=0, queue=0)
    assert disk_marks(nothing, Path("/"), flag(), flag()) == []
    assert memory_mark(nothing, lambda: 1, 1, flag()) is None
    assert available_mark(nothing, flag()) is None
    assert queue_mark(PressureSettings(), flag()) is None, "no limit by default"


@pytest.mark.parametrize(("memory", "limit"), [(None, 3 * MIB), (5 * MIB, 5 * MIB)])
def test_memory_is_the_machine_s_by_default(memory: int | None, limit: int) -> None:
    mark = memory_mark(PressureSettings(memory=memory), lambda: 16 * MIB, 4, flag())
    assert mark is not None
    assert mark.limit == limit
    assert crossed(mark, limit - 1, limit, limit - 1, limit * 9 // 10) == [False, True, True, False]


def test_a_machine_that_does_not_tell_its_memory() -> None:
    def unknown() -> int:
        raise FileNotFoundError

    assert memory_mark(PressureSettings(), unknown, 4, flag()) is None
