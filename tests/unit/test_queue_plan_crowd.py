"""Sites that work beside sites that do not, with the limit over all of them in force."""

from functools import cache

import pytest

from fastsmtp.queue.plan.outcome import Outcome
from fastsmtp.queue.plan.settings import PlanSettings
from tests.fakes.relay import Host, Relay, dies, times_out, works

CONNECTIONS, LATENCY = 100, 0.5
WARM, END = 60.0, 240.0


def crowd(others: dict[str, Host], mails: int = 50) -> Relay:
    """A hundred sites that work, each with more mail than it is given connections for, beside ``others``; those of
    them that work at first have no end of mail, too."""
    hosts = {f"live{i}": works(LATENCY) for i in range(100)} | others
    relay = Relay(PlanSettings(connections=CONNECTIONS), hosts)
    for site in hosts:
        if not site.startswith("dead"):
            relay.endless.add(site)
        for _ in range(mails):
            relay.receive(site)
    relay.run(END)
    return relay


def throughput(relay: Relay) -> int:
    """Mails delivered to the live after the time to get warm."""
    return sum(at > WARM and mail.site.startswith("live") for at, mail in relay.delivered)


@cache
def alone() -> int:
    return throughput(crowd({}))


def test_the_limit_is_in_force_and_all_of_it_is_used() -> None:
    assert alone() == pytest.approx((END - WARM) * CONNECTIONS / LATENCY, rel=0.01)


def hangs_from(start: float) -> Host:
    """Takes the connection, and from ``start`` on says nothing to DATA for five minutes."""
    return lambda now: (300.0, Outcome.SLOWER) if now > start else (LATENCY, Outcome.DONE)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("dead", times_out()),
        ("dead hanging", hangs_from(0.0)),
        ("dying", dies(WARM, LATENCY)),
        ("dying hanging", hangs_from(WARM)),
        ("slow", works(30.0)),
        ("slow", works(6.0)),
    ],
)
def test_a_hundred_sites_that_do_not_work_cost_those_that_do_a_tenth_at_most(name: str, host: Host) -> None:
    relay = crowd({f"{name}{i}": host for i in range(100)})
    assert throughput(relay) > 0.9 * alone()
    assert relay.board.in_flight < 3 * CONNECTIONS


def test_slow_sites_do_not_stand_still_for_it() -> None:
    relay = crowd({f"slow{i}": works(30.0) for i in range(100)})
    delivered = sum(at > END - 60 and mail.site.startswith("slow") for at, mail in relay.delivered)
    assert delivered == pytest.approx(60 / 30 * CONNECTIONS / 4, rel=0.1), "they have a quarter, beside"


def test_without_others_slow_sites_have_more_than_their_share() -> None:
    relay = Relay(PlanSettings(connections=CONNECTIONS), {f"slow{i}": works(30.0) for i in range(100)})
    for site in relay.hosts:
        relay.endless.add(site)
        for _ in range(10):
            relay.receive(site)
    relay.run(END)
    assert relay.board.in_flight == CONNECTIONS / 2 + CONNECTIONS / 4


def test_thousands_of_silent_sites_cost_those_that_work_nothing() -> None:
    relay = crowd({f"dead{i}": times_out() for i in range(5000)}, mails=5)
    assert throughput(relay) > 0.98 * alone()


def test_mail_to_a_new_site_does_not_wait_for_thousands_of_silent_ones() -> None:
    hosts = {f"dead{i}": times_out() for i in range(5000)} | {"new": works(LATENCY)}
    relay = Relay(PlanSettings(connections=CONNECTIONS), hosts)
    for i in range(5000):
        relay.receive(f"dead{i}")
    relay.at(60.0, lambda: relay.receive("new"))
    relay.run(120.0)
    assert len({site for site, times in relay.attempts.items() if times}) < 500, "most wait for their turn"
    assert [at < 60 + 31 for at, _ in relay.delivered] == [True], (
        "within one time-out, and not behind them all"
    )
