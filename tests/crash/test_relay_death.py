"""The whole way of mail for other hosts, dead at each step, and what the next process makes of it.

Mail of every kind is under way when the process dies: taken at once, put off, parked with a dead site, refused, grown
old, for here and elsewhere with one body file, through a list, held; and notices on their way. Everybody must have
got his mail, or its sender a notice; twice only if a process died between a host's 250 and our commit.
"""

import os
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from fastsmtp.config.values import Duration
from fastsmtp.mail.envelope import Recipient
from fastsmtp.queue.plan.settings import PlanSettings
from fastsmtp.spool import bulk
from fastsmtp.spool.filter import Filter
from tests.fakes.post_office import LeapingClock, until
from tests.fakes.relay_office import RelayOffice, Trace
from tests.fakes.remote import REFUSED, TAKEN, Answer
from tests.tools import relay_audit, relay_story
from tests.unit.test_queue_redo import GOES_ROUND, dies_at

STEPS = [
    "commit-begin", "commit-end", "move-end", "body-linked", "body-durable", "intended", "renamed",
    "answered", "owed", "told", "settled", "changed",
]  # fmt: skip
PLAN = PlanSettings(
    retry=(Duration(60), Duration(300)), expire=Duration(7200), delay_notice=Duration(600), jitter=0.0
)
EVERYTHING = Filter()
LIMIT = 40
"""Seconds in which a process must have come to its step."""


def recipients(n: int) -> list[Recipient]:
    """Of message ``n``."""
    here = Recipient("bob@example.org", "bob@example.org")

    def away(domain: str, sender: str | None = None) -> Recipient:
        return Recipient(f"u{n}@{domain}.test", "", None, sender, sender and "list@example.org")

    owner = "bob@example.org"
    return [
        [away("live")],
        [away("grey"), away("live")],
        [away("dead")],
        [away("bad"), away("live")],
        [away("old")],
        [here, away("grey")],
        [away("bad", owner), away("grey", owner), here],
        [away("bad")],
    ][n % 8]


def sender(n: int) -> str:
    """Of message ``n``; the notices of some go to other hosts, too."""
    return f"s{n}@{('dead', 'grey')[n // 8 % 2]}.test" if n % 8 == 7 else "alice@example.org"


def hosts(*, all_well: bool) -> Callable[[str, str], Answer]:
    """Some never want it, some at the second time, some are not there unless ``all_well``."""
    known: set[str] = set()

    def say(site: str, address: str) -> Answer:
        if site == "mx.bad.test":
            return (550, "5.1.1", "nobody")
        if site == "mx.old.test":
            return (451, "4.3.0", "later")
        if site == "mx.dead.test" and not all_well:
            return REFUSED
        if site == "mx.grey.test" and not all_well and address not in known:
            known.add(address)
            return (451, "4.7.1", "greylisted")
        return TAKEN

    return say


def by_hand(office: RelayOffice) -> None:
    """Hold much of what waits for one domain, and give that for another to other hosts, a few at a time."""
    search = office.spool.search
    search.apply(Filter(domain="dead.test"), "hold", b"", lambda error, what: None)
    hops = ("other.test:25",)
    search.apply(Filter(domain="old.test"), "reroute", b"", lambda error, what: None, hops)


def child(base: Path, step: str, times: int, start: int) -> None:
    fault = dies_at(step, times)
    office = RelayOffice(base, hosts(all_well=False), fault=fault, settings=GOES_ROUND, plan=PLAN)
    office.open()
    office.deliver()
    office.relay()
    for n in count(start):
        office.send(n, *recipients(n), large=n % 3 == 2, sender=sender(n))
        if n % 8 == 7:
            sent = n + 1 - start
            until(lambda sent=sent: _answered(office) >= sent, each=lambda: office.pump(0.01))
            office.pass_by(40)
        if n % 40 == 39:
            by_hand(office)


def _answered(office: RelayOffice) -> int:
    return sum(error is None for error in office.answers.values())


def run_and_die(base: Path, step: str, times: int, start: int = 0) -> list[list[str]]:
    """The record of what happened until then, from message ``start`` on."""
    pid = os.fork()
    if not pid:
        try:
            from fastsmtp.spool import bulk

            bulk.PIECE["hold"] = 3
            bulk._CALL = 0.0  # each piece is a call
            child(base, step, times, start)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
    trace = Trace(base / "trace")
    trace.tell("X")
    return trace.lines()


def check(base: Path, door: Path | None = None) -> None:
    """The next process keeps the promise. With ``door`` it is a sibling that has adopted the shard: its notices enter
    its own, and go on from there."""
    clock = LeapingClock()
    well = hosts(all_well=True)
    other = RelayOffice(door, well, clock=clock, plan=PLAN) if door else None
    if other:
        other.open()
        other.deliver()
        other.relay()
    office = RelayOffice(base, well, clock=clock, settings=GOES_ROUND, plan=PLAN, door=other)
    office.open()
    assert relay_audit.faults(office.spool) == []
    assert office.spool._journal.damage == []
    _held(office)
    office.deliver()
    office.relay()
    _release(office)
    office.drain(120)
    assert relay_audit.faults(office.spool) == []
    lines = office.trace.lines()
    if other:
        other.drain(120)
        other.close()
        lines += other.trace.lines()
    office.close()
    assert relay_story.faults(lines, base.parent if door else base / "mail", recipients) == []


def _held(office: RelayOffice) -> None:
    """What was held is held, unless it went on its way before."""
    lines = office.trace.lines()
    held = {line[1] for line in lines if line[0] == "H"}
    position: bytes | None = b""
    while position is not None:
        page = office.spool.search.find(EVERYTHING, position, 500)
        for found in page.found:
            if office.key(found.envelope.id) in held:
                assert found.waiting is not None
                assert found.waiting.held
        position = page.position


def _release(office: RelayOffice) -> None:
    positions: list[bytes | None] = [b""]
    while positions[-1] is not None:
        before = len(positions)
        office.spool.search.apply(
            EVERYTHING, "release", positions[-1], lambda error, what: positions.append(what.position)
        )
        until(lambda before=before: len(positions) > before, each=lambda: office.pump(0.01))


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bulk changes take many commits."""
    for action in bulk.PIECE:
        monkeypatch.setitem(bulk.PIECE, action, 3)


@pytest.mark.parametrize("times", [1, 7])
@pytest.mark.parametrize("step", STEPS)
def test_death_at_each_step(tmp_path: Path, step: str, times: int) -> None:
    run_and_die(tmp_path, step, times)
    check(tmp_path)


def test_death_in_the_midst_of_much(tmp_path: Path) -> None:
    kinds = Counter(line[0] for line in run_and_die(tmp_path, "settled", 600))
    assert all(kinds[kind] > 5 for kind in "AMTSOH"), kinds
    check(tmp_path)


def test_death_upon_death(tmp_path: Path) -> None:
    for life, step in enumerate(("told", "answered", "changed", "commit-end", "settled", "owed", "answered")):
        run_and_die(tmp_path, step, 12, life * 8000)
    check(tmp_path)


@pytest.mark.parametrize("step", ["answered", "told", "commit-end"])
def test_a_sibling_adopts_the_shard(tmp_path: Path, step: str) -> None:
    shard, own = tmp_path / "shard", tmp_path / "own"
    shard.mkdir()
    own.mkdir()
    run_and_die(shard, step, 20)
    check(shard, own)
