"""The master with workers of one line each: forks, signals, channels, exit codes."""

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from fastsmtp.clock import SystemClock
from fastsmtp.process import messages
from fastsmtp.process.crew import Generation
from fastsmtp.process.door import Door
from fastsmtp.process.errors import StartError
from fastsmtp.process.heritage import Heritage
from fastsmtp.process.maker import NotYet, Refusal
from fastsmtp.process.master import Master
from fastsmtp.process.messages import Birth, Message, Renewal
from fastsmtp.process.notify import Notify
from fastsmtp.process.shared import Heartbeats, Rows
from fastsmtp.process.supervisor import Supervisor
from fastsmtp.telemetry.maillog import MailLog

WORKERS = 2
ROWS = 8
GRACE = 30.0
"""Seconds that a worker has at a stop; one that needs more is killed, and told by the exit code."""


def heard(birth: Birth) -> bytes:
    """What the master says next, empty when it is gone. At SIGTERM the life ends with 0, after all that was said
    before.

    The signal stays blocked, and is looked for: a handler in Python that runs right before the process begins to
    wait would not wake it."""
    while not select.select([birth.channel], [], [], 0.01)[0]:
        if signal.SIGTERM in signal.sigpending() and not select.select([birth.channel], [], [], 0)[0]:
            os._exit(0)
    return birth.channel.recv(messages.MAX_SIZE, socket.MSG_PEEK)


def obedient(birth: Birth) -> int:
    """Says it is ready, obeys, and ends with 0 when told to, or when the master is gone."""
    birth.channel.setblocking(True)
    birth.channel.send(Message(messages.READY).encode())
    while heard(birth):
        order = messages.decode(birth.channel.recv(messages.MAX_SIZE))
        if order.verb == messages.ADOPT:
            birth.channel.send(Message(messages.ADOPTED, order.number).encode())
        elif order.verb == messages.RELEASE:
            birth.channel.send(Message(messages.RELEASED, order.number).encode())
        elif order.verb == messages.DRAIN:
            return 0
    return 0


def lingering(birth: Birth) -> int:
    """As one whose sessions never end: only SIGTERM does it."""
    birth.channel.setblocking(True)
    birth.channel.send(Message(messages.READY).encode())
    while heard(birth):
        birth.channel.recv(messages.MAX_SIZE)
    return 0


def hapless(birth: Birth) -> int:
    """Cannot start, and says why."""
    birth.channel.send(Message(messages.FAILED, text="no room").encode())
    return os.EX_TEMPFAIL


def never(birth: Birth) -> int:
    """Does not get ready."""
    birth.channel.setblocking(True)
    heard(birth)
    return 0


def renewed(birth: Birth) -> int:
    """As `obedient`, and ends with 70 plus its slot when a certificate has come with what is expected in it."""
    return _given(birth, messages.CERTIFICATE, b"key")


def relogged(birth: Birth) -> int:
    """The same for a log."""
    return _given(birth, messages.LOG, b"log")


def _given(birth: Birth, verb: str, content: bytes) -> int:
    birth.channel.setblocking(True)
    birth.channel.send(Message(messages.READY).encode())
    while heard(birth):
        message = messages.receive(birth.channel)
        if message is not None and message.verb == verb:
            return 70 + birth.slot if os.pread(message.file, 100, 0) == content else 99
    return 0


def failing(birth: Birth) -> int:
    """Cannot start."""
    return os.EX_CONFIG


def faulty(birth: Birth) -> int:
    """Has a fault."""
    raise RuntimeError("a fault for this test")


class Makes:
    """A `Maker` whose first generation is of ``first`` and whose others are of ``others`` in turn: a life, or why
    there is none. The last one stays. What it is told it says in a pipe."""

    def __init__(self, say: int, first: "Life", others: Sequence["Life | Exception"]) -> None:
        self._say = say
        self._first = first
        self._others = list(others) or [first]
        self._number = 1

    def first(self) -> Generation:
        return Generation(1, Supervisor(range(WORKERS), grace=GRACE, watching=True), self._first, 60)

    def next(self, taken: set[int], orphans: set[int]) -> Generation:
        other = self._others[0] if len(self._others) == 1 else self._others.pop(0)
        if isinstance(other, Exception):
            raise other
        free = [shard for shard in range(100) if shard not in taken][:WORKERS]
        supervisor = Supervisor(free, grace=GRACE, watching=True, waits=True)
        return Generation(self._number + 1, supervisor, other, 60)

    def begin(self) -> tuple[list[int], list[str]]:
        _write(self._say, "begun ")
        self._number += 1
        return [0], ["workers: 1 -> 2"]

    def give_up(self) -> None:
        _write(self._say, "given-up ")

    def take_over(self) -> None:
        _write(self._say, "taken-over ")

    def claim(self) -> None:
        _write(self._say, "claimed ")

    def heritage(self, channel: int) -> Heritage:
        raise OSError("nothing to hand over")

    def abandoned(self) -> bool:
        return False

    def shun(self) -> None:
        _write(self._say, "shunned ")

    def announce(self) -> None:
        _write(self._say, "announced ")

    def stop(self) -> list[int]:
        _write(self._say, "stopping ")
        return [0]

    def open_door(self, make: Callable[[Path, int], Door]) -> None:
        pass

    def listeners(self) -> list[str]:
        return ["127.0.0.1:25 (smtp)"]

    def sessions(self, row: int) -> int:
        return 0

    def waiting(self, shard: int | None) -> int:
        return 0

    def ended(self, row: int, orderly: bool) -> None:
        _write(self._say, f"ended{row}{'' if orderly else '!'} ")

    def renewals(self, at_once: bool) -> list[Renewal]:
        return [Renewal(3, _memory(b"key"))] if at_once else []

    def reopen(self) -> int | None:
        return _memory(b"log")


Life = Callable[[Birth], int]


class RunningMaster:
    """A master in a process of its own; what its maker hears is told by words in a pipe, as its log is."""

    def __init__(
        self, first: Life, *others: Life | Exception, patience: float = 60.0, room: float = 60.0
    ) -> None:
        self._said, say = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            clock = SystemClock()
            code = 99
            try:
                code = Master(
                    Makes(say, first, others),
                    rows=Rows(ROWS),
                    beats=Heartbeats(ROWS),
                    clock=clock,
                    log=MailLog(clock, slot=None, fd=say),
                    notify=Notify({}),
                    patience=patience,
                    room_patience=room,
                ).run()
            finally:
                os._exit(code)
        os.close(say)
        os.set_blocking(self._said, False)
        self.text = ""

    def wait_for(self, word: str) -> None:
        """Until the master has called back with ``word``."""
        deadline = time.monotonic() + 60
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
def masters() -> Iterator["Start"]:
    """Starts masters; none of them outlives the test."""
    started: list[RunningMaster] = []

    def start(*lives: Life | Exception, **options: float) -> RunningMaster:
        started.append(RunningMaster(*lives, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for master in started:
        if master.pid:
            master.end(signal.SIGKILL)


Start = Callable[..., RunningMaster]


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
    master.wait_for("ended0!")
    deadline = time.monotonic() + 20
    while len(master.workers()) < WORKERS:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert before[0] not in master.workers()
    assert master.end(signal.SIGTERM) == 0


def test_harmless_signals(masters: Start) -> None:
    master = masters(obedient)
    master.wait_for("announced")
    os.kill(master.pid, signal.SIGPIPE)
    assert master.end(signal.SIGTERM) == 0
    assert "ended" not in master.text.partition("stopping")[0]


def test_a_certificate_goes_to_every_worker_at_a_hangup(masters: Start) -> None:
    master = masters(renewed, Refusal(["no other settings"]))  # workers that a reload replaces end untold
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


def test_a_generation_follows_another(masters: Start) -> None:
    master = masters(obedient)
    master.wait_for("announced")
    before = set(master.workers())
    os.kill(master.pid, signal.SIGHUP)
    master.wait_for("generation 1 has ended")
    assert not before & set(master.workers())
    assert len(master.workers()) == WORKERS
    assert "reload: workers: 1 -> 2" in master.text
    # What the first had open is the second's now.
    master.wait_for("worker 2 has adopted spool shard 0")
    master.wait_for("worker 3 has adopted spool shard 1")
    assert master.end(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (hapless, "cannot start: no room"),
        (failing, "cannot start: it ended by exit code 78"),
        (Refusal(["hostname: wrong"]), "hostname: wrong"),
    ],
)
def test_a_generation_that_cannot_be_leaves_the_one_that_is(
    masters: Start, other: Life | Exception, why: str
) -> None:
    master = masters(obedient, other)
    master.wait_for("announced")
    before = master.workers()
    os.kill(master.pid, signal.SIGHUP)
    master.wait_for("reload refused: ")
    master.wait_for(why)
    deadline = time.monotonic() + 20
    while len(master.workers()) > WORKERS:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert master.workers() == before
    assert master.end(signal.SIGTERM) == 0


def test_a_generation_that_does_not_get_ready_is_given_up(masters: Start) -> None:
    master = masters(obedient, never, obedient, patience=0.1)
    master.wait_for("announced")
    os.kill(master.pid, signal.SIGHUP)
    master.wait_for("reload refused: the new generation was not ready within 0.1 s")
    master.wait_for("generation 2 has ended")
    assert master.end(signal.SIGTERM) == 0


def test_reloads_at_once_are_one_after_the_other(masters: Start) -> None:
    master = masters(obedient)
    master.wait_for("announced")
    for _ in range(5):
        os.kill(master.pid, signal.SIGHUP)
        master.wait_for("reading settings")
    master.wait_for("generation 1 has ended")
    assert master.end(signal.SIGTERM) == 0


def test_generations_live_side_by_side_until_the_rows_are_used_up(masters: Start) -> None:
    """Four generations of two have eight rows: the fifth comes when the first has been ended."""
    master = masters(lingering, room=0.0)
    master.wait_for("announced")
    for number in range(2, 5):
        os.kill(master.pid, signal.SIGHUP)
        master.wait_for(f"generation {number} serves")
    assert len(master.workers()) == 4 * WORKERS
    os.kill(master.pid, signal.SIGHUP)
    master.wait_for("generation 1 ends, to make room for another")
    master.wait_for("generation 5 serves")
    assert len(master.workers()) == 4 * WORKERS
    assert master.end(signal.SIGTERM) == 0


def test_a_generation_waits_for_shards_to_be_given_back(masters: Start) -> None:
    master = masters(obedient, NotYet([0]), obedient)
    master.wait_for("announced")
    os.kill(master.pid, signal.SIGHUP)
    master.wait_for("generation 2 serves")
    assert master.end(signal.SIGTERM) == 0


def test_a_stop_during_a_reload_ends_both_generations(masters: Start) -> None:
    master = masters(obedient, never)
    master.wait_for("announced")
    os.kill(master.pid, signal.SIGHUP)
    master.wait_for("reading settings")
    assert master.end(signal.SIGTERM) == 0
    assert "generation 2 serves" not in master.text


def test_sockets_that_cannot_listen_refuse_a_reload(masters: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(self: Makes) -> tuple[list[int], list[str]]:
        raise StartError("cannot listen on 127.0.0.1:25: another program does")

    monkeypatch.setattr(Makes, "begin", taken)
    master = masters(obedient)
    master.wait_for("announced")
    os.kill(master.pid, signal.SIGHUP)
    master.wait_for("reload refused: cannot listen on 127.0.0.1:25")
    assert master.end(signal.SIGTERM) == 0
