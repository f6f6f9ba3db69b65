"""Five days of the queue with everything real but hosts and time: the runner on its spool, the notices it sends into
mailboxes. One mail is put off by itself, one waits for a host that nobody answers at."""

from pathlib import Path
from typing import Any

import pytest

from fastsmtp.mail.envelope import Recipient
from fastsmtp.spool import writer
from tests.fakes.clock import FakeClock
from tests.fakes.post_office import until
from tests.fakes.relay_office import RelayOffice
from tests.fakes.remote import REFUSED, Answer, FakeHosts
from tests.tools import relay_audit
from tests.tools.relay_story import Mailboxes

MINUTE, HOUR = 60.0, 3600.0
FIRST_HOUR = [0.0, 1 * MINUTE, 6 * MINUTE, 21 * MINUTE, 51 * MINUTE]
DAYS = [FIRST_HOUR[-1] + HOUR, FIRST_HOUR[-1] + 3 * HOUR] + [
    FIRST_HOUR[-1] + 3 * HOUR + n * 4 * HOUR for n in range(1, 30)
]
EXPIRY = 120 * HOUR
LATE = 7 * HOUR + 51 * MINUTE
GREY, DEAD = "mx.grey.test", "mx.dead.test"


def says(site: str, address: str) -> Answer:
    return (451, "4.7.1", "greylisted") if site == GREY else REFUSED


class World:
    """``office`` with the two mails, and the time since they came."""

    def __init__(self, base: Path) -> None:
        clock: Any = FakeClock()  # no second passes but by leaps, however long a leap takes
        self.office = office = RelayOffice(base, says, clock=clock)
        office.open()
        office.deliver()
        self.hosts = FakeHosts(office.loop)
        self.hosts.say = says
        office.hosts = self.hosts  # type: ignore[assignment]
        office.relay()
        self.mail = base / "mail"
        for number, domain in enumerate(("grey", "dead")):
            self.office.send(number, Recipient(f"u@{domain}.test", ""))
        until(lambda: len(self.hosts.jobs) == 2, each=lambda: office.pump(0.01))
        self.start = self.hosts.jobs[0][0]
        office.pass_by(1)
        self.rest()

    def rest(self) -> None:
        """Until nothing is on its way to the spool."""
        hand = self.office.remote._hand
        self.office.pump()
        until(lambda: not hand.settling, each=lambda: self.office.pump(0.001))

    def go_to(self, time: float) -> None:
        """In leaps of a quarter of an hour at most."""
        while (left := self.start + time - self.office.leaping.monotonic()) > 0:
            self.office.pass_by(min(left, 900.0))
            self.rest()

    def attempts(self, site: str) -> list[float]:
        """When it was tried."""
        return [at - self.start for at, name, _, _ in self.hosts.jobs if name == site]

    def told(self) -> set[tuple[str, str, str]]:
        """Number, recipient and action of the notices that stand in mailboxes."""
        return set(Mailboxes(self.mail).notices)


def test_an_hour_and_five_days_of_the_whole_schedule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "LAZY", 0.0)  # results need not wait for company
    world = World(tmp_path)
    tried = {GREY: [0.0], DEAD: [0.0]}
    for time in [*FIRST_HOUR[1:], *DAYS, EXPIRY, DAYS[-1] + 4 * HOUR]:
        world.go_to(time - 2)
        for site, times in tried.items():
            assert world.attempts(site) == pytest.approx(times, abs=1.5), "not before its time"
        for second in (-1, 0, 1, 2):
            world.go_to(time + second)
        if time != EXPIRY:
            tried[DEAD].append(time)
        if time <= EXPIRY:
            tried[GREY].append(time)
        for site, times in tried.items():
            assert world.attempts(site) == pytest.approx(times, abs=1.5)
        if time == DAYS[1]:
            assert world.told() == set(), "it is not four hours old"
        if time == LATE:
            until(lambda: len(world.told()) == 2, each=lambda: world.office.pump(0.01))
            late = {("0", "u@grey.test", "delayed"), ("1", "u@dead.test", "delayed")}
            assert world.told() == late
    assert tried[GREY][-2:] == [DAYS[-1], EXPIRY], "its last attempt is at its expiry"
    assert tried[DEAD][-1] > EXPIRY, "it goes by the attempts of its site"
    until(lambda: not any(world.office.left().values()), each=lambda: world.office.pump(0.01))
    assert world.told() == late | {("0", "u@grey.test", "failed"), ("1", "u@dead.test", "failed")}
    world.go_to(200 * HOUR)
    assert len(world.hosts.jobs) == len(tried[GREY]) + len(tried[DEAD])
    assert relay_audit.faults(world.office.spool) == []
    world.office.close()
