"""Runs a plan in several processes and puts together what they counted.

The processes are forked before any loop or thread exists; each tells its progress and at last its counts
through a pipe, as length-prefixed msgpack.
"""

import functools
import os
import resource
import signal
import struct
import sys
import time
from collections.abc import Callable

from fastsmtp.loadgen import pipes
from fastsmtp.loadgen.plan import Plan
from fastsmtp.loadgen.sender import Sender
from fastsmtp.loadgen.tally import Counts, Tally

_START = struct.Struct("!d")
_LEAD = 0.1
_SPARE_DESCRIPTORS = 64

Watch = Callable[[float, int, int], None]
"""Called several times a second with the seconds since the start, and the messages sent and failed."""


class CrewError(Exception):
    """A run could not be made: one line."""


def run(plan: Plan, watch: Watch) -> Tally:
    """Runs ``plan``. SIGINT ends it early: what is under way is finished, and what was counted is given, marked
    as interrupted. A second one does not wait for what is under way.

    Raises CrewError when a process ends without having counted, or there are too few file descriptors.
    """
    raise_limit(max(plan.sessions_of(index) for index in range(plan.processes)))
    children: dict[int, int] = {}
    gates: list[int] = []
    sys.stdout.flush()
    sys.stderr.flush()
    for index in range(plan.processes):
        gate_reading, gate_writing = os.pipe()
        work = functools.partial(_child, plan, index, gate_reading)
        reading, pid = pipes.fork(work, (gate_writing, *gates, *children))
        os.close(gate_reading)
        children[reading] = pid
        gates.append(gate_writing)
    start = time.monotonic() + _LEAD
    for gate in gates:
        os.write(gate, _START.pack(start))
        os.close(gate)
    interrupted = False

    def stop(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        for pid in children.values():
            os.kill(pid, signal.SIGTERM)

    before = signal.signal(signal.SIGINT, stop)
    try:
        whole = _gather(children, start, watch)
        whole.interrupted = interrupted
        return whole
    finally:
        signal.signal(signal.SIGINT, before)
        for pid in children.values():
            os.waitpid(pid, 0)


def raise_limit(sessions: int) -> None:
    """Raises this process's limit of open files to the hard limit. Raises CrewError when that is too few."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and sessions + _SPARE_DESCRIPTORS > hard:
        raise CrewError(
            f"{sessions} sessions a process need more than the {hard} open files allowed (ulimit -n)"
        )


def _child(plan: Plan, index: int, gate: int, pipe: int) -> None:
    """Everything a sending process does."""
    # Ctrl-C reaches all processes of a terminal; only the parent's word counts, lest it counts twice. That word
    # waits until the loop can hear it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    start = os.read(gate, _START.size)
    if len(start) < _START.size:
        return

    def tell(tally: Tally) -> None:
        try:
            pipes.send(pipe, tally.counts(final=False))
        except OSError:
            os._exit(1)  # within a callback of the loop an exception would end nothing

    sender = Sender(plan, index, tell)
    try:
        sender.run(_START.unpack(start)[0])
    except Exception as error:
        sender.tally.failure = f"a sending process failed: {type(error).__name__}: {error}"
    pipes.send(pipe, sender.tally.counts(final=True))


def _gather(children: dict[int, int], start: float, watch: Watch) -> Tally:
    def shown(latest: list[Counts]) -> None:
        sent, failed = sum(counts.sent for counts in latest), sum(counts.failed for counts in latest)
        watch(time.monotonic() - start, sent, failed)

    whole = Tally()
    for counts in pipes.gather(children, Counts, shown):
        if not counts.final:
            raise CrewError("a sending process ended before it had told what it counted")
        whole.add(counts)
    return whole
