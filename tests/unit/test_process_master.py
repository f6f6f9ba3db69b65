"""The master with workers of one line each: forks, signals, channels, exit codes."""

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from fastsmtp.clock import SystemClock
from fastsmtp.process import messages
from fastsmtp.process.master import Master
from fastsmtp.process.messages import Birth, Message, Renewal
from fastsmtp.process.shared import Heartbeats
from fastsmtp.process.supervisor import Supervisor
from fastsmtp.telemetry.maillog import MailLog

WORKERS = 2


def obedient(birth: Birth) -> int:
    """Says it is ready, and ends with 0 when told to, or when the master is gone."""
    birth.channel.setblocking(True)
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    birth.channel.send(Message(messages.READY).encode())
    while birth.channel.recv(messages.MAX_SIZE):
        pass
    return 0


def renewed(birth: Birth) -> int:
    """As `obedient`, and ends with 70 plus its slot when a certificate has come with what is expected in it."""
    return _given(birth, messages.CERTIFICATE, b"key")


def relogged(birth: Birth) -> int:
    """The same for a log."""
    return _given(birth, messages.LOG, b"log")


def _given(birth: Birth, verb: str, content: bytes) -> int:
    birth.channel.setblocking(True)
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    birth.channel.send(Message(messages.READY).encode())
    message = messages.receive(birth.channel)
    if message is None or message.verb != verb or os.pread(message.file, 100, 0) != content:
        return 99
    return 70 + birth.slot


def failing(birth: Birth) -> int:
    """Cannot start."""
    return os.EX_CONFIG


def faulty(birth: Birth) -> int:
    """Has a fault."""
    raise RuntimeError("a fault for this test")


class RunningMaster:
    """A master in a process of its own; what it calls back is told by words in a pipe."""

    def __init__(self, worker_main: Callable[[Birth], int]) -> None:
        self._said, say = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            clock = SystemClock()
            code = 99
            try:
                code = Master(
                    Supervisor(WORKERS, [], 1.0, watching=True),
                    worker_main,
                    beats=Heartbeats(WORKERS),
                    clock=clock,
                    log=MailLog(clock, slot=None, fd=say),
                    announce=lambda: _write(say, "announced "),
                    stopping=lambda: _write(say, "stopping "),
                    worker_died=lambda slot: _write(say, f"died{slot} "),
                    renewals=lambda at_once: [Renewal(3, _memory(b"key"))] if at_once else [],
                    reopen=lambda: _memory(b"log"),
                ).run()
            finally:
                os._exit(code)
        os.close(say)
        os.set_blocking(self._said, False)
        self.text = ""

    def wait_for(self, word: str) -> None:
        """Until the master has called back with ``word``."""
        deadline = time.monotonic() + 20
        while word not in self.text:
            assert time.monotonic() < deadline, f"waited for {word!r} in vain, got {self.text!r}"
            try:
                self.text += os.read(self._said, 1000).decode()
            except BlockingIOError:
                time.sleep(0.01)

    def workers(self) -> list[int]:
        """The pids of its children."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as file:
            return [int(pid) for pid in file.read().split()]

    def end(self, number: signal.Signals | None = None) -> int:
        """Send a signal if one is given, and wait; the exit code."""
        if number is not None:
            os.kill(self.pid, number)
        pid, self.pid = self.pid, 0
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _memory(data: bytes) -> int:
    file = os.memfd_create("test")
    os.write(file, data)
    return file


def _write(fd: int, text: str) -> None:
    os.write(fd, text.encode())


@pytest.fixture
def masters() -> Iterator[Callable[[Callable[[Birth], int]], RunningMaster]]:
    """Starts masters; none of them outlives the test."""
    started: list[RunningMaster] = []

    def start(worker_main: Callable[[Birth], int]) -> RunningMaster:
        started.append(RunningMaster(worker_main))
        return started[-1]

    yield start
    for master in started:
        if master.pid:
            master.end(signal.SIGKILL)


Start = Callable[[Callable[[Birth], int]], RunningMaster]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_life_in_order(masters: Start, number: signal.Signals) -> None:
    master = masters(obedient)
    master.wait_for("announced")
    assert len(master.workers()) == WORKERS
    assert master.end(number) == 0
    master.wait_for("stopping")


def test_a_dead_worker_is_reported_and_replaced(masters: Start) -> None:
    master = masters(obedient)
    master.wait_for("announced")
    before = master.workers()
    os.kill(before[0], signal.SIGKILL)
    master.wait_for("died0")
    deadline = time.monotonic() + 20
    while len(master.workers()) < WORKERS:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert before[0] not in master.workers()
    assert master.end(signal.SIGTERM) == 0


def test_harmless_signals(masters: Start) -> None:
    master = masters(obedient)
    master.wait_for("announced")
    for number in (signal.SIGHUP, signal.SIGPIPE):
        os.kill(master.pid, number)
    assert master.end(signal.SIGTERM) == 0
    assert "died" not in master.text.partition("stopping")[0]


def test_a_certificate_goes_to_every_worker_at_a_hangup(masters: Start) -> None:
    master = masters(renewed)
    master.wait_for("announced")
    os.kill(master.pid, signal.SIGHUP)
    master.wait_for("worker 0 ended by exit code 70")
    master.wait_for("worker 1 ended by exit code 71")
    assert master.end(signal.SIGTERM) == 0


def test_the_log_that_was_opened_anew_goes_to_every_worker(masters: Start) -> None:
    master = masters(relogged)
    master.wait_for("announced")
    os.kill(master.pid, signal.SIGUSR1)
    master.wait_for("worker 0 ended by exit code 70")
    master.wait_for("worker 1 ended by exit code 71")
    assert "SIGUSR1: the log was opened anew" in master.text
    assert master.end(signal.SIGTERM) == 0


def test_workers_that_cannot_start_end_the_master_with_their_code(masters: Start) -> None:
    assert masters(failing).end() == os.EX_CONFIG


def test_a_fault_in_a_worker_never_reaches_the_masters_frames(masters: Start) -> None:
    assert masters(faulty).end() == os.EX_SOFTWARE
