"""The queue for other hosts when the machine's clock is set, while it runs and while it does not; the steady clock
begins anew with each start. Nothing bounces for it, and nothing is tried but what was due within the hour that a
start may believe in."""

from collections import Counter
from pathlib import Path

import pytest

from fastsmtp.config.values import Duration
from fastsmtp.mail.envelope import Recipient
from fastsmtp.queue.plan.settings import PlanSettings
from tests.fakes.post_office import LeapingClock
from tests.fakes.relay_office import RelayOffice
from tests.fakes.remote import REFUSED, TAKEN, Answer
from tests.tools import relay_audit, relay_story

HOUR, YEAR = 3600.0, 365 * 86_400.0
PLAN = PlanSettings(
    retry=(Duration(4 * 3600),), expire=Duration(5 * 86_400), delay_notice=Duration(86_400), jitter=0.0
)
MAILS = 24
JUMPS = [-YEAR, YEAR]


class SetClock(LeapingClock):
    """One whose wall clock somebody sets."""

    def __init__(self, wall_ahead: float = 0.0) -> None:
        super().__init__()
        self.wall_ahead = wall_ahead

    def now(self) -> float:
        """See `Clock.now`."""
        return super().now() + self.wall_ahead


def recipients(n: int) -> list[Recipient]:
    """Of message ``n``: half of them wait with their site, half by themselves."""
    return [Recipient(f"u{n}@{('grey', 'dead')[n % 2]}.test", "")]


def unwell(site: str, address: str) -> Answer:
    """What hosts say at first."""
    return REFUSED if site == "mx.dead.test" else (451, "4.7.1", "later")


def well(site: str, address: str) -> Answer:
    """What they say in the end."""
    return TAKEN


def opened(base: Path, clock: LeapingClock) -> RelayOffice:
    """A start, on hosts that are not well."""
    office = RelayOffice(base, unwell, clock=clock, plan=PLAN)
    office.open()
    office.deliver()
    return office.relay()


def waiting(base: Path, clock: LeapingClock) -> RelayOffice:
    """All mail waits: for its own time in four hours, and for a site that is tried again then."""
    office = opened(base, clock)
    for n in range(MAILS):
        office.send(n, *recipients(n))
    for _ in range(2000):
        office.pass_by(1)
        office.pump(0.005)
        if office.left().get("wait") == MAILS:
            return office
    raise AssertionError(office.left())


def attempts(office: RelayOffice) -> Counter[str]:
    """By domain."""
    return Counter(line[2].partition("@")[2] for line in office.trace.lines() if line[0] == "M")


def hours(office: RelayOffice, number: float) -> None:
    """So much time passes."""
    for _ in range(int(number * 60)):
        office.pass_by(60)


def all_arrives(office: RelayOffice) -> None:
    """Once, and nobody hears of any trouble."""
    office.hosts.says = well
    office.drain(300)
    assert relay_audit.faults(office.spool) == []
    office.close()
    lines = office.trace.lines()
    assert [line for line in lines if line[0] == "O"] == [], "nobody is told of anything"
    assert relay_story.faults(lines, office.base / "mail", recipients) == []


@pytest.mark.parametrize("jump", JUMPS)
def test_set_while_it_runs(tmp_path: Path, jump: float) -> None:
    clock = SetClock()
    office = waiting(tmp_path, clock)
    before = attempts(office)
    clock.wall_ahead += jump
    hours(office, 3.5)
    assert attempts(office) == before, "nothing is due"
    office.hosts.says = well
    hours(office, 1)
    assert attempts(office)["grey.test"] == 2 * before["grey.test"]
    all_arrives(office)


@pytest.mark.parametrize("stopped", [True, False], ids=["stopped", "killed"])
@pytest.mark.parametrize("jump", JUMPS)
def test_set_between_two_lives(tmp_path: Path, jump: float, stopped: bool) -> None:
    office = waiting(tmp_path, SetClock())
    before = attempts(office)
    if stopped:
        office.clock_file.save()
    office.close()
    office = opened(tmp_path, SetClock(jump))
    hours(office, 1)
    assert attempts(office)["grey.test"] == before["grey.test"], "who waits for his time goes on to wait"
    assert attempts(office)["dead.test"] <= before["dead.test"] + 1, "a site is tried with one mail"
    all_arrives(office)


def test_set_again_and_again(tmp_path: Path) -> None:
    """A machine without a battery: each of ten starts is in another year, and mail neither ages nor is forgotten."""
    office = waiting(tmp_path, SetClock())
    for life in range(10):
        office.close()
        office = opened(tmp_path, SetClock(JUMPS[life % 2] * (life + 1)))
        hours(office, 0.1)
    all_arrives(office)
