"""A thread that makes way does so alone."""

import os
import threading

from fastsmtp.threads import NICE, make_way


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
