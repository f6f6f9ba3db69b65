"""New mail is put off while something runs short, by all workers together; what MAIL is answered then."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastsmtp.limits.pressure import Pressure, PressureBoard
from fastsmtp.limits.probes import Space
from fastsmtp.limits.settings import PressureSettings
from fastsmtp.mail import reply
from tests.fakes.machine import PLENTY, FakeMachine
from tests.tools.waiting import until

MIB = 1 << 20
MAILBOXES = Path("/mailboxes")
SETTINGS = PressureSettings(
    disk_free=100 * MIB, inodes_free=1000, memory=50 * MIB, memory_free=10 * MIB, queue=20
)


class Workers:
    """Two of them on one machine, which has two file systems."""

    def __init__(self, settings: PressureSettings = SETTINGS) -> None:
        self.machine = FakeMachine()
        self.machine.spaces[MAILBOXES] = Space(PLENTY, PLENTY)
        self.events: list[str] = []
        self.queued = [0, 0]
        board = PressureBoard(8)
        self.each = [
            Pressure(
                settings,
                board,
                places=[FakeMachine.disk, MAILBOXES],
                workers=2,
                event=self.events.append,
                machine=self.machine,
            )
            for _ in range(2)
        ]

    def second(self) -> list[reply.Reply | None]:
        """A second goes by; what each worker answers to MAIL then."""
        for slot, pressure in enumerate(self.each):
            for place, marks in pressure.disks:
                pressure.look(place, marks)
            pressure.tick({slot: self.queued[slot]})
        for pressure in self.each:
            pressure.tick({})
        return [pressure.refusal(None) for pressure in self.each]


@pytest.fixture
def workers() -> Workers:
    return Workers()


def test_all_is_well(workers: Workers) -> None:
    assert workers.second() == [None, None]
    assert workers.events == []
    assert workers.each[0].short == []


def test_what_is_short_is_named_by_its_setting(workers: Workers) -> None:
    workers.machine.spaces[MAILBOXES] = Space(99 * MIB, 999)
    workers.second()
    assert [pressure.short for pressure in workers.each] == [["disk_free", "inodes_free"]] * 2


@pytest.mark.parametrize("place", [FakeMachine.disk, MAILBOXES])
@pytest.mark.parametrize(
    ("short", "not_yet", "well"),
    [
        (Space(99 * MIB, None), Space(124 * MIB, None), Space(125 * MIB, None)),
        (Space(PLENTY, 999), Space(PLENTY, 1249), Space(PLENTY, 1250)),
    ],
)
def test_a_disk_that_runs_full(
    workers: Workers, place: Path, short: Space, not_yet: Space, well: Space
) -> None:
    for space in (short, not_yet):
        workers.machine.spaces[place] = space
        assert workers.second() == [reply.DISK_LOW] * 2
    workers.machine.spaces[place] = well
    assert workers.second() == [None, None]
    assert [line.split(":")[0] for line in workers.events] == ["pressure begins", "pressure ends"]
    assert all(str(place) in line for line in workers.events)


def test_a_disk_that_cannot_be_asked_is_as_it_was(workers: Workers) -> None:
    workers.machine.spaces[FakeMachine.disk] = Space(MIB, PLENTY)
    workers.second()
    workers.machine.spaces[FakeMachine.disk] = OSError(5, "Input/output error")
    assert workers.second() == [reply.DISK_LOW] * 2


def test_a_declared_size_must_fit_above_the_mark(workers: Workers) -> None:
    workers.machine.spaces[FakeMachine.disk] = Space(130 * MIB, PLENTY)
    workers.machine.spaces[MAILBOXES] = Space(110 * MIB, PLENTY)
    workers.second()
    [pressure, _] = workers.each
    assert pressure.refusal({"SIZE": str(30 * MIB)}) is None
    assert pressure.refusal({"SIZE": str(30 * MIB + 1)}) == reply.NO_ROOM_FOR_SIZE
    assert pressure.refusal({"SIZE": "9" * 20}) == reply.NO_ROOM_FOR_SIZE
    assert pressure.refusal({"BODY": "8BITMIME"}) is None


def test_memory_of_one_worker_is_its_own_matter(workers: Workers) -> None:
    one, two = workers.each
    workers.machine.own = 50 * MIB
    one.tick({})
    workers.machine.own = 10 * MIB
    two.tick({})
    assert (one.refusal(None), two.refusal(None)) == (reply.MEMORY_LOW, None)
    assert workers.machine.given_back == 1
    one.tick({})
    assert one.refusal(None) is None
    assert workers.machine.given_back == 1
    assert len(workers.events) == 2


def test_memory_of_the_machine_is_everybody_s(workers: Workers) -> None:
    workers.machine.available = 10 * MIB - 1
    assert workers.second() == [reply.MEMORY_LOW] * 2
    workers.machine.available = 13 * MIB
    assert workers.second() == [None, None]
    assert len(workers.events) == 2


def test_the_queue_is_that_of_all_workers(workers: Workers) -> None:
    workers.queued = [12, 7]
    assert workers.second() == [None, None]
    workers.queued = [12, 8]
    assert workers.second() == [reply.QUEUE_FULL] * 2
    workers.queued = [12, 7]
    assert workers.second() == [reply.QUEUE_FULL] * 2
    workers.queued = [11, 7]
    assert workers.second() == [None, None]
    assert len(workers.events) == 2


def test_a_shard_counts_once_whoever_has_it(workers: Workers) -> None:
    one, two = workers.each
    one.tick({0: 5, 7: 12})
    two.tick({1: 0})
    assert two.refusal(None) is None
    two.tick({1: 0, 7: 13})
    assert two.refusal(None) is None
    two.tick({1: 2, 7: 13})
    assert two.refusal(None) == reply.QUEUE_FULL


def test_one_that_ends_leaves_the_other(workers: Workers) -> None:
    workers.machine.spaces[MAILBOXES] = Space(MIB, PLENTY)
    workers.machine.available = 0
    assert workers.second() == [reply.DISK_LOW] * 2
    workers.machine.spaces[MAILBOXES] = Space(PLENTY, PLENTY)
    assert workers.second() == [reply.MEMORY_LOW] * 2
    workers.machine.available = PLENTY
    assert workers.second() == [None, None]


def test_nothing_is_watched_with_zeros() -> None:
    workers = Workers(PressureSettings(disk_free=0, inodes_free=0, memory=0, memory_free=0, queue=0))
    workers.machine.spaces = {FakeMachine.disk: Space(0, 0), MAILBOXES: Space(0, 0)}
    workers.machine.own, workers.machine.available, workers.queued = PLENTY, 0, [1000, 1000]
    assert workers.second() == [None, None]
    assert workers.each[0].refusal({"SIZE": "9" * 20}) is None
    assert workers.events == []


def test_a_machine_that_does_not_tell_is_not_watched(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_proc() -> int:
        raise FileNotFoundError

    monkeypatch.setattr(workers.machine, "own_memory", no_proc)
    monkeypatch.setattr(workers.machine, "available_memory", no_proc)
    assert workers.second() == [None, None]


class HangingMachine(FakeMachine):
    """Its mailboxes do not answer until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.answers = threading.Event()

    def space(self, path: Path) -> Space:
        if path == MAILBOXES:
            self.asked.set()
            self.answers.wait(60)
        return super().space(path)


@pytest.fixture
def hanging() -> Iterator[HangingMachine]:
    machine = HangingMachine()
    machine.spaces[MAILBOXES] = Space(0, 0)
    yield machine
    machine.answers.set()


def test_a_file_system_that_hangs_holds_up_nobody(hanging: HangingMachine) -> None:
    pressure = Pressure(
        SETTINGS,
        PressureBoard(1),
        places=[MAILBOXES, FakeMachine.disk],
        workers=1,
        event=lambda line: None,
        machine=hanging,
    )
    pressure.start()
    try:
        assert hanging.asked.wait(20)
        pressure.tick({0: 20})
        assert pressure.refusal(None) == reply.QUEUE_FULL, "the loop goes on"
        pressure.tick({0: 0})
        assert pressure.refusal(None) is None
        hanging.spaces[FakeMachine.disk] = Space(0, 0)
        until("the other file system is looked at", lambda: pressure.refusal(None) is reply.DISK_LOW, 20)
    finally:
        pressure.stop()
