"""Mail that its sender has held for a time (FUTURERELEASE), dead at each step of its way: nobody gets it before its
time, and then everybody does, those with mailboxes here too; twice only where a process died in between."""

import os
from collections import Counter
from pathlib import Path

import pytest

from fastsmtp.mail.envelope import Recipient
from tests.fakes.post_office import LeapingClock, nothing, until
from tests.fakes.relay_office import RelayOffice, Trace
from tests.fakes.remote import TAKEN, Answer
from tests.tools import relay_audit
from tests.tools.relay_story import Mailboxes
from tests.unit.test_queue_redo import GOES_ROUND, dies_at

HOLD = 60
STEPS = ["commit-begin", "commit-end", "intended", "renamed", "answered", "settled"]
BOX = "bob@example.org"


class Held:
    """An office whose clock goes on where the one before it died. A line W of the record says until when a message is
    held, L how far the clock has leapt, E that somebody got a message early."""

    def __init__(self, base: Path, step: str = "", times: int = 0) -> None:
        self.trace = Trace(base / "trace")
        self.clock = LeapingClock()
        self.clock.ahead = max((float(line[1]) for line in self.trace.lines() if line[0] == "L"), default=0.0)
        self.until = {int(line[1]): float(line[2]) for line in self.trace.lines() if line[0] == "W"}
        fault = dies_at(step, times) if step else nothing
        self.office = RelayOffice(base, self._say, clock=self.clock, settings=GOES_ROUND, fault=fault)
        self.office.open()

    def begin(self) -> None:
        """Deliver."""
        self.office.deliver()
        self.office.relay()

    def _say(self, site: str, address: str) -> Answer:
        number = int(address.partition("@")[0][1:])
        if self.clock.now() < self.until[number]:
            self.trace.tell("E", number)
        return TAKEN

    def send(self, n: int) -> None:
        """Message ``n``, for a mailbox here and somebody elsewhere."""
        self.until[n] = self.clock.now() + HOLD
        self.trace.tell("W", n, self.until[n])
        to = [Recipient(f"u{n}@live.test", ""), Recipient(BOX, "")]
        self.office.send(n, *to, large=n % 3 == 2, params={"HOLDFOR": str(HOLD)})

    def pass_by(self, seconds: float) -> None:
        """Time passes."""
        self.trace.tell("L", self.clock.ahead + seconds)
        self.office.pass_by(seconds)
        self.office.pump(0.005)


def child(base: Path, step: str, times: int, start: int) -> None:
    """Sends, and lets time pass, until it dies."""
    held = Held(base, step, times)
    held.begin()
    for n in range(start, start + 800):
        held.send(n)
        if n % 8 == 7:
            sent = n + 1 - start
            until(lambda sent=sent: len(held.office.answers) >= sent, each=lambda: held.office.pump(0.01))
            held.pass_by(20)


def run_and_die(base: Path, step: str, times: int, start: int = 0) -> None:
    """A process until it dies, sending messages from ``start`` on."""
    pid = os.fork()
    if not pid:
        try:
            child(base, step, times, start)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
    Trace(base / "trace").tell("X")


def check(base: Path) -> None:
    """What the next process makes of it."""
    held = Held(base)
    assert relay_audit.faults(held.office.spool) == []
    held.begin()
    for _ in range(HOLD):
        held.pass_by(1)
        here = Mailboxes(base / "mail").letters
        early = [n for n, _ in here if held.clock.now() < held.until[int(n)]]
        assert early == []
    held.office.drain(30)
    held.office.close()
    lines = held.trace.lines()
    deaths = sum(line[0] == "X" for line in lines)
    assert [line for line in lines if line[0] in "EC"] == []
    here = Mailboxes(base / "mail").letters
    there = Counter(line[1] for line in lines if line[0] == "T")
    for n in [line[1] for line in lines if line[0] == "A"]:
        assert 1 <= here[n, BOX] <= 1 + deaths, f"{n} stands here {here[n, BOX]} times"
        assert 1 <= there[n] <= 1 + deaths, f"{n} came there {there[n]} times"


@pytest.mark.parametrize("times", [1, 12])
@pytest.mark.parametrize("step", STEPS)
def test_death_at_each_step(tmp_path: Path, step: str, times: int) -> None:
    run_and_die(tmp_path, step, times)
    check(tmp_path)


def test_death_upon_death(tmp_path: Path) -> None:
    for life, step in enumerate(("answered", "commit-end", "settled", "renamed", "intended", "answered")):
        run_and_die(tmp_path, step, 10, life * 1000)
    check(tmp_path)
