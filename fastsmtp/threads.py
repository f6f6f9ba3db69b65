"""How the threads behind the loop share the CPU with it."""

import contextlib
import os
import threading

NICE = 5
"""Added to the priority number of a thread that makes way (setpriority(2))."""


def make_way() -> None:
    """Let the calling thread make way for its process's event loop when the CPU is what is short.

    A thread that gathers what others bring does less work a message the longer it is kept from running: a
    commit or a batch grows. SCHED_BATCH keeps it from interrupting the loop the moment it is woken; when there
    is CPU to spare nothing changes. Where the system forbids it, nothing happens.
    """
    thread = threading.get_native_id()
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICE)
