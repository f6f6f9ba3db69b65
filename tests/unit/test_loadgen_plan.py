"""A plan split over processes, and the messages it makes."""

import pytest

from fastsmtp.loadgen.plan import Plan, Target
from fastsmtp.loadgen.schedule import OpenLoop
from fastsmtp.loadgen.sender import Letters

TARGET = Target("here", "127.0.0.1", 2525)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_sessions_and_messages_are_split_without_rest(processes: int) -> None:
    plan = Plan(TARGET, sessions=20, messages=101, processes=processes)
    assert sum(plan.sessions_of(index) for index in range(processes)) == 20
    taken = 0
    for index in range(processes):
        schedule = plan.schedule_of(index)
        while schedule.take(0.0) is not None:
            taken += 1
    assert taken == 101


def test_a_rate_makes_an_open_loop() -> None:
    assert isinstance(Plan(TARGET, rate=5.0).schedule_of(0), OpenLoop)


def test_addresses() -> None:
    assert TARGET.address == "127.0.0.1:2525"
    assert Target("six", "::1", 25).address == "[::1]:25"
    assert TARGET.loopback
    assert not Target("far", "192.0.2.1", 25).loopback


def test_letters_number_messages_over_all_processes() -> None:
    plan = Plan(TARGET, processes=2, recipients=2, sender="s{n}@a", recipient="u{n}-{r}@b")
    mail, rcpts, size, body = Letters(plan, 1).make(3)
    assert mail == b"MAIL FROM:<s7@a>\r\n"
    assert rcpts == (b"RCPT TO:<u7-0@b>\r\n", b"RCPT TO:<u7-1@b>\r\n")
    assert size == 4096
    assert len(body) == 4096 + 3


def test_numbers_wrap_at_the_number_of_users() -> None:
    plan = Plan(TARGET, recipient="u{n}@b", users=10, chunking=True)
    letters = Letters(plan, 0)
    assert letters.make(13)[1] == (b"RCPT TO:<u3@b>\r\n",)
    assert letters.make(13)[3].startswith(b"BDAT 4096 LAST\r\n")
