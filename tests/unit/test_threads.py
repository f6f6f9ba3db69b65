"""A thread that makes way does so alone; a gate lets many in, or one thing be done while nobody is."""

import os
import threading

from fastsmtp.threads import NICE, Gate, make_way


def test_only_the_calling_thread_makes_way() -> None:
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    found: list[tuple[int, int]] = []

    def run() -> None:
        make_way()
        me = threading.get_native_id()
        found.append((os.sched_getscheduler(me), os.getpriority(os.PRIO_PROCESS, me)))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [(os.SCHED_BATCH, min(before + NICE, 19))]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_many_are_inside_a_gate_and_none_while_it_is_shut() -> None:
    gate, order = Gate(), list[str]()
    entered, leave, shutting = threading.Barrier(3), threading.Event(), threading.Event()

    def look(name: str) -> None:
        with gate:
            entered.wait(20)  # both are inside at once, or this fails
            leave.wait(20)
            order.append(name)

    def shut() -> None:
        shutting.set()
        with gate.shut():
            order.append("shut")
            late.start()
            late.join(0.05)  # it may try, and must not get in
            order.append("open")

    def come_late() -> None:
        with gate:
            order.append("late")

    lookers = [threading.Thread(target=look, args=(name,)) for name in ("a", "b")]
    late, shutter = threading.Thread(target=come_late), threading.Thread(target=shut)
    for one in lookers:
        one.start()
    entered.wait(20)
    shutter.start()
    shutting.wait(20)
    leave.set()
    for one in (*lookers, shutter, late):
        one.join(20)
    assert sorted(order[:2]) == ["a", "b"]
    assert order[2:] == ["shut", "open", "late"]
