"""Starts, restarts, stand-ins and stops, as a dialogue of facts and actions."""

import signal
from collections.abc import Sequence

import pytest

from fastsmtp.process import messages
from fastsmtp.process.messages import Message
from fastsmtp.process.supervisor import (
    BEAT_LIMIT,
    KILL_AFTER,
    START_LIMIT,
    Action,
    Announce,
    Finish,
    Fork,
    Kill,
    Say,
    Send,
    Supervisor,
)

SEGV = int(signal.SIGSEGV)
KILLED = int(signal.SIGKILL)
GRACE = 10.0


def watch(by: int, slot: int) -> Send:
    return Send(by, Message(messages.WATCH, slot))


def unwatch(by: int, slot: int) -> Send:
    return Send(by, Message(messages.UNWATCH, slot))


def adopt(by: int, slot: int, *, crashed: bool = False) -> Send:
    return Send(by, Message(messages.ADOPT, slot, crashed))


def release(by: int, slot: int) -> Send:
    return Send(by, Message(messages.RELEASE, slot))


def done(actions: Sequence[Action]) -> list[Action]:
    """The actions without what is only said."""
    return [action for action in actions if not isinstance(action, Say)]


def running(workers: int, leftovers: Sequence[int] = (), *, watching: bool = True) -> Supervisor:
    """All workers ready at second 0."""
    supervisor = Supervisor(workers, leftovers, GRACE, watching=watching)
    supervisor.start(0)
    for slot in range(workers):
        supervisor.ready(slot, 0)
    return supervisor


def test_a_start_is_announced_once_all_serve() -> None:
    supervisor = Supervisor(2, [], GRACE, watching=True)
    assert supervisor.start(0) == [Fork(0, False), Fork(1, False)]
    assert supervisor.ready(1, 0.1) == []
    assert supervisor.ready(0, 0.2) == [Announce()]


def test_a_dead_worker_is_replaced_at_once_and_its_socket_watched_meanwhile() -> None:
    supervisor = running(2)
    assert done(supervisor.died(0, 100, 0, KILLED)) == [Fork(0, False), watch(1, 0)]
    assert done(supervisor.ready(0, 100.2)) == [unwatch(1, 0)]


def test_the_successor_hears_of_a_crash() -> None:
    supervisor = running(2)
    assert Fork(0, True) in supervisor.died(0, 100, 0, SEGV)


def test_with_a_shared_socket_nobody_needs_to_watch() -> None:
    supervisor = running(2, watching=False)
    assert done(supervisor.died(0, 100, 0, KILLED)) == [Fork(0, False)]
    assert done(supervisor.died(0, 101, 0, KILLED)) == [adopt(1, 0)]


def test_in_a_pause_a_sibling_adopts_and_gives_back_before_the_next_start() -> None:
    supervisor = running(2)
    supervisor.died(0, 100, 0, SEGV)
    assert done(supervisor.died(0, 101, 0, SEGV)) == [adopt(1, 0, crashed=True)]
    assert supervisor.deadline() == 102
    assert supervisor.tick(101.9, {}) == []
    assert supervisor.tick(102, {}) == [release(1, 0)]
    assert supervisor.tick(103, {}) == []
    assert supervisor.released(0, 1, 103) == [Fork(0, True)]
    assert done(supervisor.ready(0, 104)) == [unwatch(1, 0)]


def test_the_pauses_grow() -> None:
    supervisor = running(1)
    assert done(supervisor.died(0, 1, 0, SEGV)) == [Fork(0, True)]
    now = 2.0
    for pause in (1, 2, 4, 8, 16, 30, 30):
        assert done(supervisor.died(0, now, 0, SEGV)) == []
        assert supervisor.deadline() == now + pause
        now += pause
        assert supervisor.tick(now, {}) == [Fork(0, True)]


def test_an_adopter_that_dies_before_giving_back_holds_nothing_up() -> None:
    supervisor = running(3)
    supervisor.died(0, 10, 0, KILLED)
    assert adopt(1, 0) in supervisor.died(0, 11, 0, KILLED)
    assert supervisor.tick(12, {}) == [release(1, 0)]
    actions = done(supervisor.died(1, 12.1, 0, KILLED))
    assert Fork(0, False) in actions
    assert Fork(1, False) in actions
    assert supervisor.released(0, 1, 12.2) == []


def test_an_adopter_that_dies_is_followed_by_another() -> None:
    supervisor = running(3)
    supervisor.died(0, 10, 0, KILLED)
    supervisor.died(0, 11, 0, KILLED)
    actions = done(supervisor.died(1, 11.5, 0, KILLED))
    assert adopt(2, 0) in actions
    assert watch(2, 0) in actions
    assert watch(2, 1) in actions


def test_the_last_worker_is_nobodys_sibling_until_another_is_ready() -> None:
    supervisor = running(2)
    supervisor.died(0, 10, 0, KILLED)
    supervisor.died(0, 11, 0, KILLED)
    supervisor.died(1, 11.2, 0, KILLED)
    actions = done(supervisor.ready(1, 11.4))
    assert adopt(1, 0) in actions
    assert watch(1, 0) in actions


def test_duties_are_spread() -> None:
    supervisor = running(4)
    for slot in (0, 1):
        supervisor.died(slot, 10, 0, KILLED)
    adopters = {
        action.slot
        for slot in (0, 1)
        for action in supervisor.died(slot, 11, 0, KILLED)
        if isinstance(action, Send) and action.message.verb == messages.ADOPT
    }
    assert adopters == {2, 3}


def test_shards_of_former_slots_are_drained_by_a_fixed_worker() -> None:
    supervisor = Supervisor(2, [2, 3, 4], GRACE, watching=True)
    supervisor.start(0)
    assert done(supervisor.ready(0, 0)) == [adopt(0, 2), adopt(0, 4)]
    assert done(supervisor.ready(1, 0)) == [adopt(1, 3), Announce()]
    supervisor.died(1, 50, 0, SEGV)
    assert adopt(1, 3, crashed=True) in supervisor.ready(1, 50.2)
    assert supervisor.released(3, 1, 51) == []


def test_when_no_worker_can_start_the_master_ends_with_their_code() -> None:
    supervisor = Supervisor(2, [], GRACE, watching=True)
    supervisor.start(0)
    assert done(supervisor.died(1, 0.1, 78, 0)) == []
    assert done(supervisor.died(0, 0.2, 78, 0)) == [Finish(78)]


def test_when_some_can_start_the_others_are_tried_again() -> None:
    supervisor = Supervisor(2, [], GRACE, watching=True)
    supervisor.start(0)
    assert done(supervisor.died(1, 0.1, 73, 0)) == []
    assert done(supervisor.ready(0, 0.2)) == [Fork(1, False)]
    assert adopt(0, 1) in supervisor.died(1, 0.3, 73, 0)


def test_a_stop_drains_and_ends_with_0() -> None:
    supervisor = running(2)
    assert supervisor.stop(5) == [Kill(0, signal.SIGTERM), Kill(1, signal.SIGTERM)]
    assert supervisor.died(0, 6, 0, 0) == []
    assert supervisor.died(1, 7, 0, 0) == [Say("stopped: exit code 0"), Finish(0)]


def test_a_second_stop_kills() -> None:
    supervisor = running(2)
    supervisor.stop(5)
    assert done(supervisor.stop(6)) == [Kill(0, signal.SIGKILL), Kill(1, signal.SIGKILL)]
    supervisor.died(0, 6, 0, KILLED)
    assert supervisor.died(1, 6, 0, KILLED) == [
        Say("stopped: exit code 70, 2 workers had to be killed"),
        Finish(70),
    ]


def test_a_stop_that_takes_too_long_kills() -> None:
    supervisor = running(1)
    supervisor.stop(5)
    assert supervisor.deadline() == 5 + GRACE + KILL_AFTER
    assert supervisor.tick(14, {}) == []
    assert done(supervisor.tick(20, {})) == [Kill(0, signal.SIGKILL)]
    assert done(supervisor.tick(26, {})) == [Kill(0, signal.SIGKILL)]
    assert Say("stopped: exit code 70, 1 worker had to be killed") in supervisor.died(0, 27, 0, KILLED)


def test_a_stop_in_a_pause_needs_nobody() -> None:
    supervisor = running(1)
    supervisor.died(0, 1, 0, KILLED)
    supervisor.died(0, 2, 0, KILLED)
    assert done(supervisor.stop(2.5)) == [Finish(0)]


def test_nothing_is_started_during_a_stop() -> None:
    supervisor = running(2)
    supervisor.died(0, 1, 0, KILLED)
    supervisor.died(0, 2, 0, KILLED)
    supervisor.tick(3, {})
    supervisor.stop(3.1)
    assert supervisor.released(0, 1, 3.2) == []
    assert supervisor.ready(1, 3.3) == []
    assert done(supervisor.died(1, 4, 0, 0)) == [Finish(0)]


@pytest.mark.parametrize(("ready", "limit"), [(True, BEAT_LIMIT), (False, START_LIMIT)])
def test_a_worker_without_a_heartbeat_is_ended(ready: bool, limit: float) -> None:
    supervisor = Supervisor(1, [], GRACE, watching=True)
    supervisor.start(0)
    if ready:
        supervisor.ready(0, 0)
    assert supervisor.tick(limit, {0: 0.0}) == []
    assert done(supervisor.tick(limit + 1, {0: 0.0})) == [Kill(0, signal.SIGABRT)]
    assert supervisor.tick(limit + 2, {0: 0.0}) == []
    assert supervisor.tick(limit + 1 + KILL_AFTER, {0: 0.0}) == [Kill(0, signal.SIGKILL)]


def test_the_crash_that_counts_for_a_shard_is_that_of_whoever_had_it_last() -> None:
    supervisor = running(3)
    supervisor.died(0, 10, 0, KILLED)
    supervisor.died(0, 11, 0, KILLED)
    assert adopt(2, 0, crashed=True) in supervisor.died(1, 11.5, 0, SEGV)


def test_a_successor_that_cannot_start_leaves_the_suspicion_to_the_next() -> None:
    supervisor = running(2)
    supervisor.died(0, 10, 0, SEGV)
    assert adopt(1, 0, crashed=True) in supervisor.died(0, 10.1, 74, 0)
