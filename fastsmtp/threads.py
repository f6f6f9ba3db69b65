"""How the threads behind the loop share the CPU with it."""

import contextlib
import gc
import os
import threading
import time
from collections.abc import Iterator

NICE = 5
"""Added to the priority number of a thread that makes way (setpriority(2))."""
_LET_IN = 50e-6
"""Seconds; about as much again passes until a thread that slept so long runs."""
_YOUNG = 2_000
"""Objects made since the last look for garbage in cycles, before there is another look."""


def collect_seldom() -> None:
    """Let the collector of cycles leave alone what there is now, and look at new objects less often. While it looks
    at all there are, no thread runs: 10 ms for 100,000 objects. Where nothing is done in vain, cycles are few; and
    processes share what they had before a fork as long as the collector does not write into it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])


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


class Gate:
    """Many threads may be inside at once, as ``with gate:`` says; `shut` keeps all out. Nobody enters it twice."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._inside = 0
        self._shut = False

    def __enter__(self) -> None:
        with self._changed:
            while self._shut:
                self._changed.wait()
            self._inside += 1

    def __exit__(self, *exc: object) -> None:
        with self._changed:
            self._inside -= 1
            if self._shut:
                self._changed.notify_all()

    @contextlib.contextmanager
    def shut(self) -> Iterator[None]:
        """From when the last one has left until the end of the block nobody is inside."""
        with self._changed:
            while self._shut:
                self._changed.wait()
            self._shut = True
            while self._inside:
                self._changed.wait()
        try:
            yield
        finally:
            with self._changed:
                self._shut = False
                self._changed.notify_all()
