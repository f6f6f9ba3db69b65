"""Runs a sink in several processes that share a port, and gathers what they count."""

import errno
import functools
import os
import signal
import socket
import sys
from collections.abc import Callable

from fastsmtp.loadgen import pipes, swallow
from fastsmtp.loadgen.crew import raise_limit
from fastsmtp.loadgen.sinkplan import SinkCounts, SinkPlan


class SinkError(Exception):
    """The sink cannot run: one line. ``taken`` when somebody listens on its port already."""

    def __init__(self, text: str, *, taken: bool = False) -> None:
        super().__init__(text)
        self.taken = taken


def listen(plan: SinkPlan) -> list[socket.socket]:
    """The listening sockets, one for each process; the first decides the port when it is 0.

    Raises SinkError, its text naming the address.
    """
    family = socket.AF_INET6 if ":" in plan.host else socket.AF_INET
    port = plan.port
    sockets: list[socket.socket] = []
    try:
        if port:
            # sockets that share a port would join those of another sink without a word
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((plan.host, port))
        for _ in range(plan.processes):
            sock = socket.socket(family)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((plan.host, port))
            port = sock.getsockname()[1]
        for sock in sockets:
            sock.listen(4096)
    except OSError as error:
        for sock in sockets:
            sock.close()
        taken = error.errno == errno.EADDRINUSE
        advice = (
            "; stop what listens there, or name another port by --listen (0: one that is free)"
            if taken
            else ""
        )
        raise SinkError(
            f"cannot listen on {plan.host}:{port}: {error.strerror}{advice}", taken=taken
        ) from None
    return sockets


def run(
    plan: SinkPlan, started: Callable[[str, int], None], watch: Callable[[SinkCounts], None]
) -> SinkCounts:
    """Serves until SIGTERM or SIGINT, and returns what was counted.

    ``started`` is given the address once connections are accepted, ``watch`` the counts twice a second.
    Raises SinkError.
    """
    raise_limit(1)
    sockets = listen(plan)
    host, port = sockets[0].getsockname()[:2]
    sys.stdout.flush()
    sys.stderr.flush()
    lifeline, held = os.pipe()
    children: dict[int, int] = {}
    for sock in sockets:
        others = [other.fileno() for other in sockets if other is not sock]
        work = functools.partial(_child, plan, sock, lifeline)
        reading, pid = pipes.fork(work, (held, *others, *children))
        children[reading] = pid
    for sock in sockets:
        sock.close()
    stopping = [held]

    def stop(*_: object) -> None:
        if stopping:
            os.close(stopping.pop())

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        started(host, port)
        return _sum(pipes.gather(children, SinkCounts, lambda latest: watch(_sum(latest))))
    finally:
        stop()
        os.close(lifeline)
        for number, handler in before.items():
            signal.signal(number, handler)
        for pid in children.values():
            os.waitpid(pid, 0)


def _child(plan: SinkPlan, sock: socket.socket, lifeline: int, pipe: int) -> None:
    """Everything a process of the sink does."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent says when to end
    swallow.process(plan, sock, lambda counts: pipes.send(pipe, counts), lifeline)


def _sum(latest: list[SinkCounts]) -> SinkCounts:
    whole = SinkCounts()
    for counts in latest:
        whole.add(counts)
    return whole
