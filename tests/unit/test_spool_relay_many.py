"""Relay mail with so many recipients that its rows are large beside the journal."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fastsmtp.spool.base import SpoolError, SpoolFull
from fastsmtp.spool.bulk import Action, Changed
from fastsmtp.spool.filter import Filter
from fastsmtp.spool.relay import Defer, Finish
from fastsmtp.spool.settings import SpoolSettings
from fastsmtp.spool.waiting import RcptState, Try, Waiting, brief_size
from tests.fakes.post_office import PostOffice, until
from tests.tools import relay_audit

TINY = SpoolSettings(map_size=64 << 20, reserve=1 << 20, ahead=1 << 20, inline_limit=8192, journal=1 << 20)


def most(length: int) -> int:
    """Recipients of `away` that it takes."""
    return (TINY.region_bytes - 5000) // (192 + 2 * length)


MOST = most(20)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[PostOffice]:
    office = PostOffice(tmp_path, settings=TINY).open()
    yield office
    office.close()


def away(count: int, length: int = 20) -> list[str]:
    return [f"u{n:05}@far.test".rjust(length, "x") for n in range(count)]


def waits(count: int, code: int, words: str = "later") -> Waiting:
    tries = (Try(1.0, 450, "4.2.0", words, "mx.far.test[192.0.2.1]:25"),) * 3
    states = [
        RcptState(number, 5.0, (*tries, Try(2.0, code + number % 99, "4.2.1", words)))
        for number in range(count)
    ]
    return Waiting(1.0, False, False, states)


def test_what_others_said_is_left_out_where_a_commit_would_not_take_it(office: PostOffice) -> None:
    one = office.submit(b"x", elsewhere=away(MOST))
    office.accepted(one)
    office.settle(Defer(one, waits(MOST, 400, "w" * 200)))
    office.settle(Defer(one, waits(MOST, 500, "\U0001f4e7" * 200)))
    row = office.spool.relay.waiting(one)
    assert row is not None
    assert len(row.rcpts) == MOST
    assert row.rcpts[7] == RcptState(7, 5.0, (Try(2.0, 507, "4.2.1"),), 3)
    assert relay_audit.faults(office.spool) == []
    office.settle(Finish(one, MOST))
    assert office.left() == {}


def test_words_stay_where_there_is_room_for_them(office: PostOffice) -> None:
    one = office.submit(b"x", elsewhere=away(3))
    office.accepted(one)
    office.settle(Defer(one, waits(3, 400)))
    assert office.spool.relay.waiting(one) == waits(3, 400)


def test_what_could_not_wait_is_not_accepted(office: PostOffice) -> None:
    much, little = office.submit(b"x", elsewhere=away(2 * MOST)), office.submit(b"x", elsewhere=away(2))
    until(lambda: len(office.answers) == 2, each=lambda: office.turn(0.01))
    assert isinstance(office.answers[much], SpoolFull)
    assert office.answers[little] is None


@pytest.mark.parametrize("length", [20, 250])
def test_the_room_asked_for_is_enough(office: PostOffice, length: int) -> None:
    count = most(length)
    one = office.submit(b"x", elsewhere=away(count, length))
    office.accepted(one)
    found = office.spool.relay.load(one)
    assert found is not None
    assert brief_size(found[0]) > TINY.region_bytes - 2000, "it is as large as may be"
    for code in (400, 500, 400):  # each row of a code goes, and another comes
        office.settle(Defer(one, waits(count, code, "w" * 200)))
    office.settle(Defer(one, waits(1, 400)))
    assert relay_audit.faults(office.spool) == []


def test_the_ends_of_much_mail_are_several_commits(office: PostOffice) -> None:
    ids = [office.submit(b"x", elsewhere=away(200)) for _ in range(20)]
    office.accepted(*ids)
    office.settle(*(Defer(one, waits(200, 400)) for one in ids))
    office.settle(*(Finish(one, 200) for one in ids))
    assert office.left() == {}


@pytest.mark.parametrize("action", ["hold", "retry", "remove"])
def test_what_is_done_by_hand_is_several_commits(office: PostOffice, action: Action) -> None:
    ids = [office.submit(b"x", elsewhere=away(200)) for _ in range(20)]
    office.accepted(*ids)
    if action == "retry":
        office.settle(*(Defer(one, waits(200, 400)) for one in ids))
    answers: list[tuple[SpoolError | None, Changed]] = []
    office.spool.search.apply(Filter(), action, b"", lambda error, what: answers.append((error, what)))
    until(lambda: answers, each=lambda: office.turn(0.01))
    [(error, what)] = answers
    assert error is None
    assert sorted(what.ids) == sorted(ids)
    assert relay_audit.faults(office.spool) == []
