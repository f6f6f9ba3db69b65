"""A worker with services of a few lines: it accepts, obeys, drains and ends."""

import asyncio
import contextlib
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from fastsmtp.clock import SystemClock
from fastsmtp.config.values import Endpoint
from fastsmtp.process import messages
from fastsmtp.process.errors import StartError
from fastsmtp.process.messages import Birth, Message, decode
from fastsmtp.process.shared import Heartbeats
from fastsmtp.process.sockets import Listener, SocketPool, Wanted, close_all
from fastsmtp.process.worker import ProtocolFactory, Worker
from fastsmtp.telemetry.maillog import MailLog

SLOT = 0
LIMIT = 20.0
ANY = Endpoint(socket.AF_INET, "127.0.0.1", 0)


class Greeter(asyncio.Protocol):
    """Says hello and closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.WriteTransport", transport).write(b"hello")
        transport.close()


class Plain:
    """Services that say what they are asked for, in words in a pipe."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def start(self, crashed: bool) -> None:
        self._say("crashed " if crashed else "fresh ")

    async def listen(self) -> None:
        self._say("listen ")

    def open(self) -> None:
        self._say("open ")

    def factory(self, listener: Listener) -> ProtocolFactory:
        return Greeter

    def adopt(self, shard: int, crashed: bool) -> None:
        if shard == 9:
            raise StartError("shard 9 is damaged")
        self._say(f"adopt{shard} ")

    def release(self, shard: int) -> None:
        self._say(f"release{shard} ")

    def remove(self, shard: int) -> None:
        self._say(f"remove{shard} ")

    def renew(self, certificate: int, file: int) -> None:
        os.close(file)

    def tick(self) -> list[int]:
        self._say("tick ")
        return []

    def sessions(self) -> int:
        return 0

    async def drain(self, grace: float) -> None:
        self._say(f"drain{grace:g} ")

    def stop(self) -> None:
        self._say("stop ")


class Refusing(Plain):
    """Services that cannot start."""

    def start(self, crashed: bool) -> None:
        raise StartError("no room", os.EX_TEMPFAIL)


class Faulty(Plain):
    """Services whose tick has a fault."""

    def tick(self) -> list[int]:
        raise RuntimeError("a fault for this test")


class SlowToAdopt(Plain):
    """Services that are still opening a shard when the stop comes."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(say)
        self._stopped = threading.Event()

    def adopt(self, shard: int, crashed: bool) -> None:
        self._say("adopting ")
        self._stopped.wait(1.0)  # longer than a stop that does not wait for us
        self._say("adopted ")

    def stop(self) -> None:
        self._say("stop ")
        self._stopped.set()


class RunningWorker:
    """A worker in a process of its own, with us as its master; two slots."""

    def __init__(
        self, services: type[Plain], *, crashed: bool = False, master: int = 0, stderr: int = -1
    ) -> None:
        # The slots have ports of their own, so that a test can tell who answers.
        pool = SocketPool(16)
        sockets = [one.sockets[0] for one in pool.bind([Wanted(ANY, "smtp", True)] * 2, 2)]
        pool.listen()
        self.listener = Listener(ANY, "smtp", tuple(sockets), workers=2)
        self.beats = Heartbeats(2)
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.setblocking(False)
        self.channel.settimeout(LIMIT)
        self._said, say = os.pipe()
        self.text = ""
        parent = master or os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            os.dup2(stderr if stderr >= 0 else os.open(os.devnull, os.O_WRONLY), 2)
            self.channel.close()
            code = 99
            try:
                code = Worker(
                    Birth(SLOT, theirs, parent, crashed),
                    build=lambda birth, loop, log: services(lambda text: _write(say, text)),
                    listeners=[self.listener],
                    backlog=16,
                    beats=self.beats,
                    grace=7.0,
                    clock=SystemClock(),
                    log=MailLog(SystemClock(), slot=SLOT),
                ).run(None)
            finally:
                os._exit(code)
        theirs.close()
        os.close(say)

    def hear(self) -> Message:
        """The next message from the worker."""
        return decode(self.channel.recv(messages.MAX_SIZE))

    def order(self, verb: str, slot: int) -> None:
        """Give an order."""
        self.channel.send(Message(verb, slot).encode())

    @property
    def orderly(self) -> str:
        """What the services said but for the ticks, which may come between any two words."""
        return self.text.replace("tick ", "")

    def wait_for(self, word: str) -> None:
        """Until the services have said ``word``; ticks count only where they are asked for."""
        deadline = time.monotonic() + LIMIT
        while word not in (self.text if "tick" in word else self.orderly):
            assert time.monotonic() < deadline, f"waited for {word!r} in vain, got {self.text!r}"
            if select.select([self._said], [], [], 0.1)[0]:
                self.text += os.read(self._said, 1000).decode()

    def answers(self, slot: int, within: float = LIMIT) -> bool:
        """Whether a client of the socket of ``slot`` is greeted."""
        with socket.create_connection(self.listener.sockets[slot].getsockname(), within) as client:
            try:
                return client.recv(5) == b"hello"
            except TimeoutError:
                return False

    def end(self, number: signal.Signals | None = None) -> int:
        """Send a signal if one is given, and wait; the exit code."""
        if number is not None:
            os.kill(self.pid, number)
        pid, self.pid = self.pid, 0
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        close_all(self.listener.sockets)
        self.channel.close()
        while piece := os.read(self._said, 1000):
            self.text += piece.decode()
        os.close(self._said)
        return code


def _write(fd: int, text: str) -> None:
    os.write(fd, text.encode())


Start = Callable[..., RunningWorker]


@pytest.fixture
def workers() -> Iterator[Start]:
    """Starts workers; none of them outlives the test."""
    started: list[RunningWorker] = []

    def start(services: type[Plain] = Plain, **options: object) -> RunningWorker:
        started.append(RunningWorker(services, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for worker in started:
        if worker.pid:
            worker.end(signal.SIGKILL)


def test_a_life_in_order(workers: Start) -> None:
    worker = workers()
    assert worker.hear() == Message(messages.READY)
    assert worker.answers(SLOT)
    worker.wait_for("tick tick")
    assert worker.beats.last(SLOT) > 0
    assert worker.end(signal.SIGTERM) == 0
    assert worker.text.startswith("fresh ")
    assert worker.orderly.endswith("drain7 stop ")


def test_it_watches_and_lets_go(workers: Start) -> None:
    worker = workers()
    worker.hear()
    assert not worker.answers(1, within=0.2)
    worker.order(messages.WATCH, 1)
    worker.order(messages.WATCH, 1)
    worker.order(messages.RELEASE, 1)
    assert worker.hear() == Message(messages.RELEASED, 1)
    assert worker.answers(1)
    worker.order(messages.UNWATCH, 1)
    worker.order(messages.RELEASE, 1)
    worker.hear()
    assert not worker.answers(1, within=0.2)
    assert worker.answers(SLOT)


def test_it_adopts_and_releases_in_order(workers: Start) -> None:
    worker = workers()
    worker.hear()
    worker.order(messages.ADOPT, 1)
    worker.order(messages.RELEASE, 1)
    worker.order(messages.ADOPT, 9)
    worker.order(messages.RELEASE, 9)
    assert [worker.hear() for _ in range(3)] == [
        Message(messages.ADOPTED, 1),
        Message(messages.RELEASED, 1),
        Message(messages.RELEASED, 9),
    ]
    worker.wait_for("adopt1 release1")


def test_a_stop_waits_for_the_order_in_hand(workers: Start) -> None:
    worker = workers(SlowToAdopt)
    worker.hear()
    worker.order(messages.ADOPT, 1)
    worker.wait_for("adopting")
    assert worker.end(signal.SIGTERM) == 0
    assert worker.orderly.endswith("adopted stop ")


def test_it_ends_with_its_master(workers: Start) -> None:
    worker = workers(crashed=True)
    worker.hear()
    worker.channel.shutdown(socket.SHUT_RDWR)
    assert worker.end() == 0
    assert worker.text.startswith("crashed ")
    assert "stop " in worker.text


def test_a_worker_born_to_a_dead_master_does_not_begin(workers: Start) -> None:
    worker = workers(master=-1)
    assert worker.end() == 0
    assert worker.text == ""


def test_what_cannot_start_says_so_by_its_code(workers: Start) -> None:
    assert workers(Refusing).end() == os.EX_TEMPFAIL


def test_a_fault_in_a_helper_ends_the_worker(workers: Start) -> None:
    worker = workers(Faulty)
    assert worker.end() == os.EX_SOFTWARE
    assert worker.orderly.endswith("stop ")


def test_a_fault_stands_in_the_log(workers: Start, tmp_path: Path) -> None:
    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    assert workers(Faulty, stderr=fd).end() == os.EX_SOFTWARE
    os.close(fd)
    lines = (tmp_path / "log").read_text().splitlines()
    assert all("/0] event " in line for line in lines)
    assert lines[-1].endswith("RuntimeError: a fault for this test")
    assert any("Traceback" in line for line in lines)


def test_a_fault_that_nobody_reads_of_ends_the_worker_all_the_same(workers: Start) -> None:
    end, fd = os.pipe()
    os.set_blocking(fd, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(fd, b"x" * 4096):
            pass
    os.set_blocking(fd, True)
    worker = workers(Faulty, stderr=fd)
    worker.wait_for("stop ")
    assert worker.end() == os.EX_SOFTWARE
    os.close(end)
    os.close(fd)
