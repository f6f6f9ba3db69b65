"""Days of a fake clock through the whole retry schedule."""

from collections import Counter
from itertools import accumulate, pairwise

import pytest

from fastsmtp.queue.plan.outcome import Outcome
from fastsmtp.queue.plan.settings import PlanSettings
from tests.fakes.relay import Host, Relay, times_out, works

HOUR, DAY = 3600.0, 86_400.0
PAUSES = [60.0, 300, 900, 1800, HOUR, 2 * HOUR, *[4 * HOUR] * 40]
EXACT = PlanSettings(jitter=0.0)


def with_mail(host: Host, settings: PlanSettings = EXACT, mails: int = 1000) -> Relay:
    """So many mails to one site within the first hour."""
    relay = Relay(settings, {"far": host})
    for i in range(mails):
        relay.at(i * HOUR / mails, lambda: relay.receive("far"))
    return relay


def test_a_thousand_mails_to_a_site_that_is_dead_for_five_days() -> None:
    relay = with_mail(lambda now: (0.0, Outcome.UNREACHABLE))
    relay.run(until=7 * DAY)

    expected = [0.0, *accumulate(PAUSES)]
    last = next(at for at in expected if at >= 5 * DAY + HOUR - 3.6)
    assert relay.attempts["far"] == [at for at in expected if at <= last], (
        "one an interval, however many wait"
    )
    assert len(relay.attempts["far"]) == 37

    assert Counter(mail.id for _, mail in relay.noticed) == Counter(mail.id for _, mail in relay.bounced)
    assert len(relay.noticed) == len(relay.bounced) == 1000, "each once"
    for done, age in ((relay.noticed, 4 * HOUR), (relay.bounced, 5 * DAY)):
        for at, mail in done:
            assert at == next(time for time in expected if time >= mail.queued_at + age), (
                "at the first chance"
            )
    assert relay.writes == 1000, "the notices, and nothing else"
    assert len(relay.board) == 0, "the site is forgotten with its last mail and its pause"


def test_jitter_spreads_the_attempts_and_changes_little_else() -> None:
    relay = with_mail(times_out(), PlanSettings())
    relay.run(until=7 * DAY)
    assert 31 <= len(relay.attempts["far"]) <= 37
    assert all(after - before >= 60 for before, after in pairwise(relay.attempts["far"]))
    assert len(relay.bounced) == 1000
    assert len(relay.attempts["far"]) == len(set(relay.attempts["far"]))


@pytest.mark.parametrize("back_at", [30 * 60.0, 3 * DAY])
def test_a_site_that_comes_back_gets_all_its_mail_once_and_gently(back_at: float) -> None:
    answer = works(1.0)
    relay = with_mail(lambda now: answer(now) if now >= back_at else (30.0, Outcome.UNREACHABLE))
    relay.run(until=7 * DAY)
    assert sorted(mail.id for _, mail in relay.delivered) == sorted({mail.id for _, mail in relay.delivered})
    assert len(relay.delivered) == 1000
    assert relay.bounced == []
    first, last = relay.delivered[0][0], relay.delivered[-1][0]
    assert back_at <= first <= back_at + 4 * HOUR + 60
    assert last - first < 120 if back_at > HOUR else last - first < HOUR
    opened = [at for at in relay.attempts["far"] if at >= back_at]
    assert [sum(second - 0.5 < at - opened[0] < second + 0.5 for at in opened) for second in range(4)] == [
        1,
        2,
        3,
        4,
    ]
    assert relay.most_at_once["far"] <= EXACT.connections_per_site


def test_mail_that_is_put_off_by_itself_goes_its_own_way() -> None:
    """A site that takes mail at its second attempt, like one that greylists."""
    seen: Counter[int] = Counter()

    def greylists(now: float) -> tuple[float, Outcome]:
        seen[0] += 1
        return 0.1, Outcome.PUT_OFF if seen[0] <= 200 else Outcome.DONE

    relay = with_mail(greylists, mails=200)
    relay.run(until=2 * DAY)
    assert len(relay.delivered) == 200
    assert relay.writes <= 2 * 200, "one for each that was put off"
    state = relay.board.state("far", relay.now)
    assert state is not None
    assert state.health == "working"


def test_one_mail_that_is_always_put_off() -> None:
    relay = with_mail(lambda now: (0.0, Outcome.PUT_OFF), mails=1)
    relay.run(until=7 * DAY)
    expected = [at for at in (0.0, *accumulate(PAUSES)) if at < 5 * DAY] + [5 * DAY]
    assert relay.attempts["far"] == expected, "and the last at the very expiry"
    assert [at for at, _ in relay.noticed] == [next(at for at in expected if at >= 4 * HOUR)]
    assert [at for at, _ in relay.bounced] == [5 * DAY]
