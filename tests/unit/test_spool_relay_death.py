"""A process that dies at every step while mail for other hosts comes, waits and goes: what the next one finds.

The engine is played by the test: of each message it knows what was promised to whom when the process died.
"""

import os
from collections import defaultdict
from pathlib import Path

import pytest

from fastsmtp.mail.envelope import Envelope
from fastsmtp.spool.filter import Filter
from fastsmtp.spool.relay import Defer, Finish
from fastsmtp.spool.waiting import RcptState, Try, Waiting
from tests.fakes.post_office import PostOffice, until
from tests.tools import relay_audit
from tests.unit.test_queue_redo import GOES_ROUND, dies_at

STEPS = [
    "writer-woken", "commit-begin", "commit-end", "move-begin", "move-end",
    "body-written", "body-synced", "body-linked", "body-durable",
]  # fmt: skip
HEAD = b"Received: by mx.example.org\r\n"


def body(n: int) -> bytes:
    """Of the ``n``-th message; each fifth is large."""
    return b"%06d\r\n" % n * (2000 if n % 5 == 4 else 30)


class Engine:
    """Finishes each third message at once, lets the others wait, and finishes each second of these later. Before
    and after each step it tells: A(nswered), asks to F(inish), W(aits), H(eld)."""

    def __init__(self, office: PostOffice, out: int) -> None:
        self._office = office
        self._out = out
        self._waiting: list[str] = []
        self._count = 0
        office.spool.relay.on_fresh = self._fresh

    def tell(self, what: str, ids: list[str]) -> None:
        os.write(self._out, "".join(f"{what} {one}\n" for one in ids).encode())

    def _fresh(self, envelope: Envelope, length: int) -> None:
        box = self._office.spool.relay
        self._count += 1
        one = envelope.id
        if self._count % 3 == 0:
            self.tell("F", [one])
            box.finish(one, lambda error: None)
            return
        due = float(self._count % 4)
        row = Waiting(1.0, False, False, [RcptState(0, due, (Try(2.0, 451, "4.0.0", "later", "mx"),))])
        box.settle([Defer(one, row)], lambda error: self._waits(one))

    def _waits(self, one: str) -> None:
        self.tell("W", [one])
        self._waiting.append(one)
        if len(self._waiting) >= 40:
            some, self._waiting = self._waiting[:20], self._waiting[20:]
            self.tell("F", some)
            self._office.spool.relay.settle([Finish(each) for each in some], lambda error: None)


def child(base: Path, step: str, times: int, out: int) -> None:
    office = PostOffice(base, settings=GOES_ROUND, fault=dies_at(step, times)).open()
    engine = Engine(office, out)
    told: set[str] = set()
    for n in range(100_000):
        here = ["a@x"] if n % 4 == 3 else []
        office.submit(body(n), *here, elsewhere=[f"u{n}@d{n % 7}.test"], large=n % 5 == 4)
        if n % 8 == 7:
            until(lambda n=n: len(office.answers) == n + 1, each=lambda: office.turn(0.01))
        answered = [i for i, error in office.answers.items() if error is None and i not in told]
        told.update(answered)
        engine.tell("A", answered)
        if n % 50 == 49:
            office.spool.search.apply(
                Filter(domain=f"d{n % 7}.test"), "hold", b"", lambda error, what: engine.tell("H", what.ids)
            )


def run_and_die(base: Path, step: str, times: int) -> dict[str, set[str]]:
    """By letter: the ids that were told of before the end."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            child(base, step, times, write)
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read) as pipe:
        lines = pipe.read().splitlines()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
    told: dict[str, set[str]] = defaultdict(set)
    for line in lines:
        if len(line) == 15:
            told[line[0]].add(line[2:])
    return told


def check(base: Path, told: dict[str, set[str]]) -> None:
    """All that was promised is there, and nothing else is left."""
    office = PostOffice(base, settings=GOES_ROUND).open()
    box = office.spool.relay
    assert relay_audit.faults(office.spool) == []
    assert office.spool._journal.damage == []
    there = []
    position: bytes | None = b""
    while position is not None:
        page = office.spool.search.find(Filter(), position, 500)
        there += [found.envelope.id for found in page.found]
        position = page.position
    assert told["A"] - told["F"] <= set(there), "what was accepted and is not final is there"
    for one in there:
        content = office.content(one)
        assert content is not None
        assert content.startswith(HEAD)
        lines = set(content[len(HEAD) :].splitlines())
        assert len(lines) == 1, "it is whole"
        assert len(content) == len(HEAD) + len(body(int(lines.pop())))
    for one in told["W"] - told["F"]:
        row = box.waiting(one)
        assert row is not None
        assert row.rcpts[0].code == 451
        assert row.held or one not in told["H"]
    office.deliver()
    office.settle(*(Finish(one) for one in there))
    office.settled()
    office.close()


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("step", STEPS)
def test_death_at_each_step(tmp_path: Path, step: str, times: int) -> None:
    check(tmp_path, run_and_die(tmp_path, step, times))


@pytest.mark.parametrize("step", ["commit-end", "move-end"])
def test_death_in_the_midst_of_much(tmp_path: Path, step: str) -> None:
    told = run_and_die(tmp_path, step, 200 if step == "commit-end" else 12)
    assert told["W"]
    assert told["H"]
    check(tmp_path, told)


def test_death_upon_death(tmp_path: Path) -> None:
    told: dict[str, set[str]] = defaultdict(set)
    for step in ("commit-end", "move-end", "commit-begin", "body-durable", "commit-end"):
        for what, ids in run_and_die(tmp_path, step, 9).items():
            told[what] |= ids
    check(tmp_path, told)
