"""Questions: from memory, merged, bounded, given up in time, and each session told once. No clock but the test's."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from fastsmtp.mail.reply import CANNOT_VERIFY, Reply
from fastsmtp.queue.ways import Found, Way
from fastsmtp.routing.route import Hop, RemoteRoute
from fastsmtp.smtp.handler import PENDING
from fastsmtp.smtp.outgoing_values import Outcome
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.transport.smtp.mx import Unroutable
from fastsmtp.transport.smtp.place import Place
from fastsmtp.transport.smtp.probe import Answered
from fastsmtp.verify import verifier
from fastsmtp.verify.verifier import LONGEST, MOST_A_SITE, MOST_AT_ONCE, TOLD, Verifier
from tests.fakes.clock import FakeClock
from tests.fakes.routing import router

DAY = 86_400
TAKEN = Outcome("relayed", 250, "2.1.5", "2.1.5 ok", "rcpt", False)
REFUSED = Outcome("failed", 550, "5.1.1", "5.1.1 nobody", "rcpt", False)
LATER = Outcome("deferred", 451, "4.3.0", "later", "rcpt", False)
DOWN = Outcome("deferred", 0, "4.4.1", "connect to mx: refused", "connect", True)
NO = Reply(550, "1.1", "the next hop says: 550 nobody")


def route(domain: str = "corp.test") -> RemoteRoute:
    return RemoteRoute((Hop("mx", domain, 25),), "*", True)


class Probe:
    """A question that the test answers."""

    def __init__(self, place: Place, address: str, answered: Answered) -> None:
        self.place = place
        self.address = address
        self.answered = answered

    def cancel(self, reason: str) -> None:
        self.answered("mx", Outcome("deferred", 0, "4.4.2", reason, "rcpt", True))


class World:
    """A verifier whose places and answers are the test's. ``slow``: places are found by `find`."""

    def __init__(self, log: int) -> None:
        self.clock = FakeClock()
        self.slow = False
        self.at_once: Outcome | None = None
        self.looked: list[tuple[Way, Found]] = []
        self.probes: list[Probe] = []
        self.told: list[Any] = []
        self._fd = log
        self.log = MailLog(self.clock, slot=0, fd=log)
        self.verifier = Verifier(router(), self, self, log=self.log, clock=self.clock)

    def place(self, way: Way) -> Place | None:
        return None if self.slow else Place(way[0][0].host, ())

    def look_up(self, way: Way, found: Found) -> None:
        self.looked.append((way, found))

    def probe(self, place: Place, address: str, answered: Answered) -> Probe:
        probe = Probe(place, address, answered)
        self.probes.append(probe)
        if self.at_once is not None:
            answered("mx", self.at_once)
        return probe

    def ask(self, address: str = "a@corp.test", domain: str = "corp.test") -> Any:
        return self.verifier.ask(address, route(domain), self.told.append)

    def answer(self, outcome: Outcome) -> None:
        """The oldest question's."""
        self.probes.pop(0).answered("mx.corp.test[192.0.2.1]:25", outcome)

    def pass_by(self, seconds: float) -> None:
        self.clock.pass_by(seconds)
        self.verifier.tick()

    def logged(self) -> list[str]:
        self.log.flush()
        lines = os.pread(self._fd, 1 << 20, 0).decode().splitlines()
        return [line.split("] ", 1)[1] for line in lines]


@pytest.fixture
def world() -> Iterator[World]:
    fd = os.memfd_create("log")
    yield World(fd)
    os.close(fd)


def test_asked_once_then_known(world: World) -> None:
    assert world.ask() is PENDING
    assert world.probes[0].address == "a@corp.test"
    world.answer(TAKEN)
    assert world.told == [None]
    assert world.ask() is None
    assert world.ask("a@CORP.test") is None
    assert world.ask("A@corp.test") is PENDING, "elsewhere a and A may be two"
    assert len(world.probes) == 1
    assert world.logged() == [
        'verified to=<a@corp.test> relay=mx.corp.test[192.0.2.1]:25 reply="250 2.1.5 ok"'
    ]


def test_unknown_for_three_hours(world: World) -> None:
    assert world.ask() is PENDING
    world.answer(REFUSED)
    assert world.told == [NO]
    world.pass_by(3 * 3600 - 1)
    assert world.ask() == NO
    world.pass_by(1)
    assert world.ask() is PENDING
    assert world.logged() == [
        'unverified to=<a@corp.test> relay=mx.corp.test[192.0.2.1]:25 reply="550 5.1.1 nobody"'
    ]


def test_put_off_for_a_minute(world: World) -> None:
    world.ask()
    world.answer(LATER)
    later = Reply(450, "3.0", "the next hop says: 451 later")
    assert world.told == [later]
    assert world.ask() == later
    assert world.ask("b@corp.test") is PENDING, "that was about one recipient"
    world.pass_by(60)
    assert world.ask() is PENDING


def test_who_meets_waits_for_the_same_answer(world: World) -> None:
    assert [world.ask() for _ in range(3)] == [PENDING] * 3
    assert len(world.probes) == 1
    world.answer(REFUSED)
    assert world.told == [NO] * 3


def test_asked_again_in_the_background_when_the_answer_is_old(world: World) -> None:
    world.ask()
    world.answer(TAKEN)
    world.pass_by(7 * DAY)
    assert world.ask() is None
    assert world.ask() is None
    assert len(world.probes) == 1
    world.answer(DOWN)
    assert world.ask() is None, "mail is taken while the next hop is down"
    world.pass_by(60)
    assert world.ask() is None
    world.answer(REFUSED)
    assert world.ask() == NO
    assert world.told == [None]


def test_known_no_longer_after_a_month(world: World) -> None:
    world.ask()
    world.answer(TAKEN)
    world.pass_by(31 * DAY)
    assert world.ask() is PENDING


def test_a_refresh_that_is_taken_counts_anew(world: World) -> None:
    world.ask()
    world.answer(TAKEN)
    world.pass_by(30 * DAY)
    world.ask()
    world.answer(TAKEN)
    world.pass_by(6 * DAY)
    assert world.ask() is None
    assert not world.probes


def test_other_hops_are_asked_anew(world: World) -> None:
    world.ask()
    world.answer(TAKEN)
    assert world.ask(domain="new.test") is PENDING


@pytest.mark.parametrize("outcome", [DOWN, DOWN._replace(stage="mail", code=550, status="failed")])
def test_a_site_without_an_answer_is_left_alone_for_a_minute(world: World, outcome: Outcome) -> None:
    world.ask()
    world.answer(outcome)
    assert world.told == [CANNOT_VERIFY]
    assert world.ask() is CANNOT_VERIFY
    assert world.ask("b@corp.test") is CANNOT_VERIFY
    assert world.ask("b@far.test", "far.test") is PENDING
    assert len(world.probes) == 1
    world.pass_by(60)
    assert world.ask("b@corp.test") is PENDING


def test_a_connection_lost_at_rcpt_says_nothing_about_others(world: World) -> None:
    world.ask()
    world.answer(DOWN._replace(stage="rcpt"))
    assert world.ask() is CANNOT_VERIFY
    assert world.ask("b@corp.test") is PENDING


def test_a_site_that_breaks_off_again_and_again_is_left_alone(world: World) -> None:
    def asked(*outcomes: Outcome) -> None:
        for outcome in outcomes:
            world.clock.pass_by(1)
            assert world.ask(f"{world.clock.monotonic()}@corp.test") is PENDING
            world.answer(outcome)

    lost = DOWN._replace(stage="rcpt")
    asked(lost, lost, lost, lost, REFUSED, lost, lost, lost, lost, TAKEN, lost, lost, lost, lost)
    asked(lost)
    assert world.ask("x@corp.test") is CANNOT_VERIFY
    world.pass_by(60)
    asked(lost)
    assert world.ask("x@corp.test") is CANNOT_VERIFY, "until it has answered once"


def test_a_place_that_cannot_be_found(world: World) -> None:
    world.slow = True
    assert world.ask() is PENDING
    assert world.ask("b@corp.test") is PENDING
    for _, found in world.looked:
        found(Unroutable("5.1.2", "no such domain"))
    assert world.told == [CANNOT_VERIFY] * 2, "never for good: the domain is in our settings"
    assert world.ask("c@corp.test") is CANNOT_VERIFY
    assert not world.probes
    assert world.logged()[0] == 'unverified to=<a@corp.test> relay=none reply="5.1.2 no such domain"'


def test_a_place_that_is_found_late(world: World) -> None:
    world.slow = True
    world.ask()
    world.looked[0][1](Place("corp.test", ()))
    world.answer(TAKEN)
    assert world.told == [None]


def test_an_answer_without_asking_is_given_at_once(world: World) -> None:
    world.at_once = Outcome("failed", 0, "5.6.7", "needs SMTPUTF8", "plan", True)
    assert world.ask() == Reply(550, "6.7", "needs SMTPUTF8")
    assert world.told == []
    assert world.ask() == Reply(550, "6.7", "needs SMTPUTF8")
    assert len(world.probes) == 1


def test_a_client_s_patience_ends_and_the_question_goes_on(world: World) -> None:
    world.ask()
    world.pass_by(9)
    world.ask()
    world.pass_by(1)
    assert world.told == [CANNOT_VERIFY]
    world.answer(TAKEN)
    assert world.told == [CANNOT_VERIFY, None]
    assert world.ask() is None


def test_a_question_is_given_up(world: World) -> None:
    world.ask()
    world.pass_by(LONGEST)
    assert world.told == [CANNOT_VERIFY]
    assert world.ask() is CANNOT_VERIFY
    assert world.ask("b@corp.test") is PENDING
    world.slow = True
    world.ask("c@corp.test")
    world.pass_by(LONGEST)
    assert world.told == [CANNOT_VERIFY] * 3
    world.looked[0][1](Place("corp.test", ()))
    assert len(world.probes) == 2, "nobody is asked for what was given up"


def test_questions_at_one_site_stand_in_line(world: World) -> None:
    for number in range(MOST_A_SITE + 2):
        assert world.ask(f"{number}@corp.test") is PENDING
    assert len(world.probes) == MOST_A_SITE
    assert world.ask("x@far.test", "far.test") is PENDING
    assert len(world.probes) == MOST_A_SITE + 1, "others need not wait for it"
    world.answer(TAKEN)
    assert [probe.address for probe in world.probes][-1] == f"{MOST_A_SITE}@corp.test"
    world.answer(TAKEN)
    world.answer(TAKEN)
    assert len(world.probes) == MOST_A_SITE


def test_nobody_goes_before_those_in_line(world: World) -> None:
    world.verifier.ask("a@corp.test", route(), lambda _: world.ask("quick@corp.test"))
    for number in range(MOST_A_SITE):
        world.ask(f"{number}@corp.test")
    world.answer(TAKEN)
    assert world.probes[-1].address == f"{MOST_A_SITE - 1}@corp.test"
    world.answer(TAKEN)
    assert world.probes[-1].address == "quick@corp.test"


def test_the_line_is_told_when_the_site_falls_silent(world: World) -> None:
    for number in range(MOST_A_SITE + 5):
        world.ask(f"{number}@corp.test")
    world.answer(DOWN)
    assert world.told == [CANNOT_VERIFY] * 6
    assert len(world.probes) == MOST_A_SITE - 1
    for _ in range(MOST_A_SITE - 1):
        world.answer(TAKEN)
    assert world.told[6:] == [None] * (MOST_A_SITE - 1)


def test_who_has_left_the_line_is_not_asked_for(world: World) -> None:
    for number in range(MOST_A_SITE):
        world.ask(f"{number}@corp.test")
    world.ask("late@corp.test")
    world.pass_by(10)
    assert len(world.told) == MOST_A_SITE + 1
    world.answer(TAKEN)
    assert len(world.probes) == MOST_A_SITE - 1
    assert world.ask("next@corp.test") is PENDING
    assert world.probes[-1].address == "next@corp.test"


def test_a_line_of_answers_without_asking(world: World) -> None:
    """However long it is, it ends one after the other, not within each other."""
    for number in range(MOST_A_SITE):
        world.ask(f"{number}@corp.test")
    for number in range(900):
        assert world.ask(f"l{number}@corp.test") is PENDING
    world.at_once = REFUSED
    world.answer(TAKEN)
    assert world.told == [None] + [NO] * 900


def test_questions_are_bounded(world: World) -> None:
    for number in range(MOST_AT_ONCE):
        assert world.ask("x@corp.test", f"{number}.test") is PENDING
    assert world.ask("x@corp.test", "one-more.test") is CANNOT_VERIFY
    world.answer(TAKEN)
    assert world.ask("x@corp.test", "one-more.test") is PENDING


def test_those_who_wait_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "MOST_WAITING", 3)
    assert [world.ask() for _ in range(4)] == [PENDING] * 3 + [CANNOT_VERIFY]
    world.pass_by(10)
    assert world.ask() is PENDING


def test_sites_that_are_left_alone_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "MOST_SITES", 2)
    for number in range(3):
        world.ask("x@corp.test", f"{number}.test")
        world.answer(DOWN)
    assert world.ask("x@corp.test", "2.test") is CANNOT_VERIFY
    assert world.ask("x@corp.test", "0.test") is PENDING


def test_who_fails_when_told_does_not_harm_the_others(world: World) -> None:
    def fail(answer: Reply | None) -> None:
        raise ValueError("a defect")

    assert world.verifier.ask("a@corp.test", route(), fail) is PENDING
    assert world.ask() is PENDING
    world.answer(TAKEN)
    assert world.told == [None]
    assert "internal error" in world.logged()[1]


def test_who_is_told_may_ask_at_once(world: World) -> None:
    again: list[Any] = []
    world.verifier.ask("a@corp.test", route(), lambda _: again.append(world.ask("b@corp.test")))
    world.answer(REFUSED)
    assert again == [PENDING]
    world.answer(TAKEN)
    assert world.told == [None]


def test_a_flood_does_not_fill_the_log(world: World) -> None:
    world.at_once = REFUSED
    for number in range(TOLD + 30):
        world.ask(f"{number}@corp.test")
    assert len(world.logged()) == TOLD
    world.pass_by(1)
    assert world.logged()[TOLD:] == ["event 30 more recipients were asked for at next hops within a second"]
