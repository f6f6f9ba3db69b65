"""The ``[queue]`` table, in the form people write it."""

import tomllib

import pytest
from msgspec import Struct

from fastsmtp.config.bind import bind
from fastsmtp.config.errors import SettingsError
from fastsmtp.queue.plan.retry import RetrySchedule
from fastsmtp.queue.plan.settings import PlanSettings


class Root(Struct, frozen=True, kw_only=True):
    queue: PlanSettings = PlanSettings()


def bound(text: str) -> PlanSettings:
    return bind(tomllib.loads("[queue]\n" + text), Root).queue


def test_the_defaults_are_those_of_the_documents() -> None:
    text = 'retry = ["1m", "5m", "15m", "30m", "1h", "2h", "4h"]\nexpire = "5d"\ndelay_notice = "4h"'
    assert bound(text) == PlanSettings()
    assert PlanSettings().schedule == RetrySchedule(
        pauses=(60, 300, 900, 1800, 3600, 7200, 14_400), jitter=0.1, expire=432_000, delay_notice=14_400
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("retry = []", 'queue.retry: expected at least one pause such as "5m"'),
        ('retry = ["0s"]', 'queue.retry[0]: expected duration between "1s" and "7d"'),
        ('retry = "5m"', "queue.retry: expected array of duration"),
        (
            "expire = 5",
            'queue.expire: expected duration between "1s" and "365d" such as "90s", "5m" or "1h30m"',
        ),
        ("jitter = 1.5", "queue.jitter: expected number between 0 and 1, got 1.5"),
        ("connections_per_site = 0", "queue.connections_per_site: expected int between 1 and 1_000"),
        ("expires = 1", 'queue.expires: no such key; did you mean "expire"?'),
    ],
)
def test_what_is_wrong_is_named(text: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        bound(text)
    assert caught.value.problems[0].startswith(says)


def test_the_limit_over_all_is_divided_and_that_of_a_site_is_not() -> None:
    plan = PlanSettings(connections=10, connections_per_site=7, messages_per_site_per_minute=30)
    limits = [plan.board_limits(3, slot) for slot in range(3)]
    assert [one.connections for one in limits] == [4, 3, 3]
    assert {(one.site.connections, one.site.per_minute) for one in limits} == {(7, 30)}
    assert PlanSettings(connections=1).board_limits(8, 5).connections == 1
