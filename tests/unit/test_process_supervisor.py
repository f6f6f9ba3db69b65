"""Starts, restarts, stand-ins and stops, as a dialogue of facts and actions."""

import signal
from collections.abc import Sequence

import pytest

from fastsmtp.process import messages
from fastsmtp.process.actions import (
    Action,
    Announce,
    Failed,
    Finish,
    Fork,
    Kill,
    Orphan,
    Prepared,
    Say,
    Send,
)
from fastsmtp.process.messages import Message
from fastsmtp.process.supervisor import BEAT_LIMIT, KILL_AFTER, START_LIMIT, Supervisor

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
    supervisor = Supervisor(range(workers), leftovers, grace=GRACE, watching=watching)
    supervisor.start(0)
    for slot in range(workers):
        supervisor.ready(slot, 0)
    return supervisor


def test_a_start_is_announced_once_all_serve() -> None:
    supervisor = Supervisor(range(2), grace=GRACE, watching=True)
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
        action.place
        for slot in (0, 1)
        for action in supervisor.died(slot, 11, 0, KILLED)
        if isinstance(action, Send) and action.message.verb == messages.ADOPT
    }
    assert adopters == {2, 3}


def test_shards_of_former_slots_are_drained_by_a_fixed_worker() -> None:
    supervisor = Supervisor(range(2), [2, 3, 4], grace=GRACE, watching=True)
    supervisor.start(0)
    assert done(supervisor.ready(0, 0)) == [adopt(0, 2), adopt(0, 4)]
    assert done(supervisor.ready(1, 0)) == [adopt(1, 3), Announce()]
    supervisor.died(1, 50, 0, SEGV)
    assert adopt(1, 3, crashed=True) in supervisor.ready(1, 50.2)
    assert supervisor.released(3, 1, 51) == []


def test_when_no_worker_can_start_the_master_ends_with_their_code() -> None:
    supervisor = Supervisor(range(2), grace=GRACE, watching=True)
    supervisor.start(0)
    assert done(supervisor.died(1, 0.1, 78, 0)) == []
    assert done(supervisor.died(0, 0.2, 78, 0)) == [Finish(78)]


def test_when_some_can_start_the_others_are_tried_again() -> None:
    supervisor = Supervisor(range(2), grace=GRACE, watching=True)
    supervisor.start(0)
    assert done(supervisor.died(1, 0.1, 73, 0)) == []
    assert done(supervisor.ready(0, 0.2)) == [Fork(1, False)]
    assert adopt(0, 1) in supervisor.died(1, 0.3, 73, 0)


def test_a_stop_drains_and_ends_with_0() -> None:
    supervisor = running(2)
    assert supervisor.stop(5) == [Kill(0, signal.SIGTERM), Kill(1, signal.SIGTERM)]
    assert supervisor.died(0, 6, 0, 0) == []
    assert supervisor.died(1, 7, 0, 0) == [Finish(0)]


def test_a_second_stop_kills() -> None:
    supervisor = running(2)
    supervisor.stop(5)
    assert done(supervisor.stop(6)) == [Kill(0, signal.SIGKILL), Kill(1, signal.SIGKILL)]
    supervisor.died(0, 6, 0, KILLED)
    assert supervisor.died(1, 6, 0, KILLED) == [Finish(70, killed=2)]


def test_a_stop_that_takes_too_long_kills() -> None:
    supervisor = running(1)
    supervisor.stop(5)
    assert supervisor.deadline() == 5 + GRACE + KILL_AFTER
    assert supervisor.tick(14, {}) == []
    assert done(supervisor.tick(20, {})) == [Kill(0, signal.SIGKILL)]
    assert done(supervisor.tick(26, {})) == [Kill(0, signal.SIGKILL)]
    assert supervisor.died(0, 27, 0, KILLED) == [Finish(70, killed=1)]


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
    supervisor = Supervisor(range(1), grace=GRACE, watching=True)
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


# --- helpers ----------------------------------------------------------------------------------


def test_a_helper_is_beside_the_workers_and_holds_nothing_up() -> None:
    supervisor = Supervisor(range(2), grace=GRACE, watching=True, helpers=["web"])
    assert supervisor.start(0) == [Fork(0, False), Fork(1, False), Fork(2, False)]
    assert supervisor.names() == ["worker 0", "worker 1", "web"]
    supervisor.ready(0, 0.1)
    assert supervisor.ready(1, 0.1) == [Announce()]
    # It cannot start: it is tried again after growing pauses, and nobody stands in for it.
    assert done(supervisor.died(2, 0.2, 69, 0)) == [Fork(2, False)]
    assert done(supervisor.died(2, 0.3, 69, 0)) == []
    assert supervisor.deadline() == 1.3
    assert supervisor.tick(1.3, {}) == [Fork(2, False)]
    assert supervisor.ready(2, 1.4) == []
    assert supervisor.stop(5) == [Kill(place, signal.SIGTERM) for place in range(3)]


def test_a_helper_without_a_worker_is_no_server() -> None:
    supervisor = Supervisor(range(1), grace=GRACE, watching=True, helpers=["web"])
    supervisor.start(0)
    assert supervisor.ready(1, 0.1) == []
    assert supervisor.died(0, 0.2, 78, 0) == [Kill(1, signal.SIGTERM)]
    assert supervisor.died(1, 0.3, 0, 0) == [Finish(78)]


# --- generations ------------------------------------------------------------------------------


def next_one(shards: Sequence[int], orphans: Sequence[int] = (), **options: object) -> Supervisor:
    """One that waits, started at second 10."""
    supervisor = Supervisor(shards, orphans, grace=GRACE, watching=True, waits=True, **options)  # type: ignore[arg-type]
    supervisor.start(10)
    return supervisor


def test_a_generation_that_waits_is_opened_when_all_are_ready() -> None:
    supervisor = Supervisor([2, 3], [7], grace=GRACE, watching=True, helpers=["web"], waits=True)
    assert supervisor.start(10) == [Fork(0, False, True), Fork(1, False, True), Fork(2, False, True)]
    assert supervisor.ready(1, 11) == []
    assert supervisor.ready(0, 11) == []
    assert supervisor.ready(2, 11) == [Prepared()]
    accept = Message(messages.ACCEPT)
    assert supervisor.open() == [Send(0, accept), Send(1, accept), adopt(1, 7), Announce()]
    # From now on it is as any other.
    assert Fork(0, False, False) in supervisor.died(0, 50, 0, KILLED)


def test_one_that_cannot_start_ends_a_generation_that_waits() -> None:
    supervisor = next_one([2, 3])
    supervisor.explained(1, "no room")
    assert supervisor.died(1, 11, 75, 0) == [Failed("worker 3 cannot start: no room", 75)]
    assert supervisor.stop(11) == [Kill(0, signal.SIGTERM)]
    assert supervisor.died(0, 12, 0, 0) == [Finish(0)]


def test_a_signal_that_ends_one_of_a_generation_that_waits_is_named() -> None:
    (failed,) = next_one([2]).died(0, 11, 0, SEGV)
    assert failed == Failed("worker 2 cannot start: it ended by signal SIGSEGV; the log says more", 0)


def drained(place: int) -> Send:
    return Send(place, Message(messages.DRAIN, 60))


def test_a_generation_retires_with_its_sessions_and_leaves_its_shards() -> None:
    supervisor = running(2, [5])
    assert supervisor.retire(10, 60) == [release(1, 5), drained(0), drained(1)]
    assert not supervisor.stopping
    assert supervisor.released(5, 1, 10.1) == [Orphan(5, False)]
    assert supervisor.died(1, 20, 0, 0) == [Orphan(1, False)]
    # One that dies is not started again.
    assert supervisor.died(0, 30, 0, SEGV) == [Orphan(0, True), Finish(0)]


def test_one_that_dies_before_it_has_given_back_leaves_all_it_had() -> None:
    supervisor = running(2, [4])
    supervisor.retire(10, 60)
    assert supervisor.died(0, 11, 0, SEGV) == [Orphan(0, True), Orphan(4, True)]
    assert supervisor.released(4, 0, 11) == []


def test_what_stands_in_at_the_time_is_left_too() -> None:
    supervisor = running(2)
    supervisor.died(0, 5, 0, KILLED)
    assert adopt(1, 0, crashed=True) in supervisor.died(0, 6, 0, SEGV)
    assert supervisor.retire(6.5, 60) == [release(1, 0), drained(1)]
    assert supervisor.tick(10, {}) == []
    assert supervisor.released(0, 1, 10) == [Orphan(0, True)]
    assert supervisor.died(1, 11, 0, 0) == [Orphan(1, False), Finish(0)]


def test_a_slot_that_nobody_stands_in_for_is_left_at_once() -> None:
    supervisor = running(1)
    supervisor.died(0, 5, 0, KILLED)
    supervisor.died(0, 6, 0, SEGV)
    assert supervisor.retire(6.5, 60) == [Orphan(0, True), Finish(0)]


def test_sessions_that_do_not_end_are_ended() -> None:
    supervisor = running(1)
    supervisor.retire(10, 60)
    assert supervisor.deadline() == 10 + 60 + GRACE + KILL_AFTER
    assert supervisor.tick(70, {0: 70.0}) == []
    assert done(supervisor.tick(86, {0: 86.0})) == [Kill(0, signal.SIGKILL)]


def test_one_that_hangs_while_it_drains_is_ended() -> None:
    supervisor = running(1)
    supervisor.retire(10, 3600)
    assert done(supervisor.tick(100, {0: 10.0})) == [Kill(0, signal.SIGABRT)]


def test_a_stop_hurries_a_generation_that_drains() -> None:
    supervisor = running(1)
    supervisor.retire(10, 3600)
    assert supervisor.stop(20) == [Kill(0, signal.SIGTERM)]
    assert supervisor.stopping
    assert supervisor.deadline() == 20 + GRACE + KILL_AFTER


def test_shards_of_the_generation_before_are_adopted_as_they_come() -> None:
    supervisor = next_one([2, 3])
    assert supervisor.inherit(4, True) == []
    supervisor.ready(0, 11)
    supervisor.ready(1, 11)
    assert adopt(0, 4, crashed=True) in supervisor.open()
    assert supervisor.inherit(1, False) == [adopt(1, 1)]
    assert supervisor.held() == {1, 2, 3, 4}
    assert supervisor.orphans() == {1, 4}


def test_a_shard_that_is_locked_is_tried_again() -> None:
    supervisor = running(1, [1])
    assert supervisor.refused(1, 5) == []
    assert supervisor.tick(5.9, {}) == []
    assert supervisor.tick(6, {}) == [adopt(0, 1)]
    assert supervisor.tick(7, {}) == []


def test_an_empty_shard_is_closed() -> None:
    supervisor = running(2, [3])
    assert supervisor.emptied(3, 1) == [release(1, 3)]
    assert supervisor.releasing
    assert supervisor.held() == {0, 1, 3}
    assert supervisor.released(3, 1, 6) == []
    assert supervisor.held() == {0, 1}
    # One that is beyond those of two generations is removed.
    upgraded = running(2, [9])
    assert upgraded.emptied(9, 1) == [Send(1, Message(messages.REMOVE, 9))]
    # That of a sibling, which comes again, is not.
    assert supervisor.emptied(0, 1) == []


def test_shards_are_given_back_for_another_generation() -> None:
    supervisor = running(2, [2, 3])
    assert supervisor.disown([2]) == [release(0, 2)]
    supervisor.released(2, 0, 5)
    assert supervisor.held() == {0, 1, 3}
    assert supervisor.retire(6, 60)[:1] == [release(1, 3)]


def test_shards_that_were_given_back_in_vain_are_adopted_again() -> None:
    supervisor = running(2, [2, 3])
    supervisor.disown([2])
    supervisor.released(2, 0, 5)
    assert supervisor.reclaim() == [adopt(0, 2)]
    assert supervisor.reclaim() == []
    assert supervisor.held() == {0, 1, 2, 3}


def test_health_is_a_worker_that_serves_and_none_that_is_silent() -> None:
    supervisor = Supervisor(range(2), grace=GRACE, watching=True)
    supervisor.start(0)
    assert not supervisor.healthy(0, {})
    supervisor.ready(0, 0)
    assert supervisor.healthy(10, {0: 9.0})
    supervisor.ready(1, 10)
    assert not supervisor.healthy(200, {0: 199.0, 1: 10.0})
