"""How the threads behind the loop share the CPU with it."""

import contextlib
import os
import threading
import time

NICE = 5
"""Added to the priority number of a thread that makes way (setpriority(2))."""
_LET_IN = 50e-6
"""Seconds; about as much again passes until a thread that slept so long runs."""


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


def let_in() -> None:
    """Let a thread that waits for the GIL have it now. For a thread that works long in Python alone, twice in a
    millisecond or so: by itself the interpreter lets the others wait 5 ms each time they ask, and who takes the GIL
    again at once is often faster than they.
    """
    time.sleep(_LET_IN)
