"""What results mean for a message: who is done, who waits for what, who is told."""

from random import Random
from typing import Any

import pytest

from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mail.result import DeliveryResult
from fastsmtp.queue.letters import (
    RemoteMail,
    domain_of,
    judge,
    last_result,
    requiretls,
    without_wishes,
)
from fastsmtp.queue.plan.retry import RetrySchedule
from fastsmtp.spool.waiting import RcptState, Try, Waiting

SCHEDULE = RetrySchedule(pauses=(60.0, 300.0), jitter=0.0, expire=86_400.0, delay_notice=14_400.0)
START = 1_700_000_000.0


def mail(*recipients: Recipient, waiting: Waiting | None = None, **params: str) -> RemoteMail:
    given = list(recipients) or [Recipient("a@far.test", ""), Recipient("B@Far.Test", "")]
    envelope = Envelope("ID1", "s@near.test", given, "192.0.2.1", "c", "ESMTP", START, params or None)
    return RemoteMail(envelope, START, waiting)


def result(number: int, status: Any, code: int = 0, *, final: bool = False) -> DeliveryResult:
    return DeliveryResult(
        number, status, code, f"{(code or 400) // 100}.0.0", "words", "mx.far.test:25", "smtp", final
    )


def came(one: RemoteMail, *results: DeliveryResult, **how: Any) -> tuple[list[tuple[str, str]], bool]:
    """Action and address of each outcome, and whether it is to be stored."""
    chosen: dict[str, Any] = {"stays": False, "at": START, "wall": START} | how
    outcomes, changed = judge(one, results, schedule=SCHEDULE, rng=Random(1), **chosen)
    return [(outcome.action, outcome.recipient.address) for outcome in outcomes], changed


def test_who_is_taken_is_done() -> None:
    one = mail()
    assert came(one, result(0, "relayed", 250), result(1, "delivered", 250)) == ([], True)
    assert not one.left


def test_who_is_refused_is_told_of() -> None:
    one = mail()
    assert came(one, result(1, "failed", 550)) == ([("failed", "B@Far.Test")], True)
    assert list(one.left) == [0]


@pytest.mark.parametrize(
    ("status", "final", "params", "sender", "told"),
    [
        ("relayed", False, {"NOTIFY": "SUCCESS"}, None, "relayed"),
        ("relayed", False, {"NOTIFY": "FAILURE"}, None, None),
        ("relayed", False, {"NOTIFY": "SUCCESS"}, "owner@x.test", None),
        ("delivered", False, {"NOTIFY": "SUCCESS"}, None, None),
        ("delivered", True, {"NOTIFY": "SUCCESS,FAILURE"}, None, "delivered"),
        ("delivered", True, None, None, None),
    ],
)
def test_who_tells_of_a_success(
    status: str, final: bool, params: dict[str, str] | None, sender: str | None, told: str | None
) -> None:
    one = mail(Recipient("a@far.test", "", params, sender))
    expected = [(told, "a@far.test")] if told else []
    assert came(one, result(0, status, 250, final=final)) == (expected, True)


def test_pauses_follow_the_schedule() -> None:
    one = mail()
    for attempt, at, due in ((1, 0.0, 60.0), (2, 60.0, 360.0), (3, 360.0, 660.0)):
        assert came(one, result(0, "deferred", 451), at=START + at) == ([], True)
        state = one.left[0]
        assert state is not None
        assert (state.attempts, state.due, state.code) == (attempt, START + due, 451)
    assert one.due(START + 659) == []
    assert one.due(START + 660) == [0]
    one.busy.add(0)
    assert one.due(START + 660) == []


def test_who_waits_with_his_site_is_stored_once() -> None:
    one = mail()
    assert came(one, result(0, "deferred"), stays=True) == ([], True)
    one.stored = True
    assert came(one, result(0, "deferred"), stays=True, at=START + 60) == ([], False)
    assert one.with_site("far.test") == [0, 1], "one of them was not tried yet"
    assert came(one, result(0, "deferred", 451), at=START + 61) == ([], True)
    assert one.with_site("far.test") == [1]
    assert one.with_site("other.test") == []


def test_parking() -> None:
    one = mail()
    assert one.park([0, 1])
    one.stored = True
    assert not one.park([0, 1])
    came(one, result(0, "deferred", 451))
    assert one.park([0])
    assert one.with_site("far.test") == [0, 1]
    state = one.left[0]
    assert state is not None
    assert (state.due, state.code, state.attempts) == (0.0, 451, 1), "what was said is kept"


def test_late_mail_is_told_of_once_with_all_that_wait() -> None:
    one = mail()
    late = START + 14_400
    assert came(one, result(0, "deferred", 451), at=late - 1) == ([], True)
    told = [("delayed", "a@far.test"), ("delayed", "B@Far.Test")]
    assert came(one, result(0, "deferred", 451), at=late) == (told, True)
    assert came(one, result(0, "deferred", 451), at=late + 60) == ([], True)


def test_old_mail_is_given_up() -> None:
    one = mail()
    assert came(one, result(0, "deferred"), stays=True, at=START + 86_400) == (
        [("failed", "a@far.test")],
        True,
    )
    assert list(one.left) == [1]


def test_what_is_stored_comes_back() -> None:
    one = mail()
    came(one, result(0, "deferred", 451))
    one.noticed = True
    again = mail(waiting=one.waiting())
    assert again.stored
    assert again.noticed
    assert again.left[0] == one.left[0]
    assert again.with_site("far.test") == [1]


def test_the_last_result() -> None:
    assert last_result(3, None).text == "it was not tried yet"
    assert last_result(3, RcptState(3)).enhanced == "4.0.0"
    state = RcptState(3, 0.0, (Try(START, 451, "4.3.0", "later", "mx:25"),))
    assert last_result(3, state) == DeliveryResult(3, "deferred", 451, "4.3.0", "later", "mx:25", "smtp")


def test_parameters() -> None:
    assert requiretls(mail(REQUIRETLS="").envelope)
    assert not requiretls(mail().envelope)
    assert without_wishes(mail(RET="FULL", ENVID="x").envelope).params is None
    assert without_wishes(mail(RET="FULL", BODY="8BITMIME").envelope).params == {"BODY": "8BITMIME"}
    plain = mail().envelope
    assert without_wishes(plain) is plain
    assert domain_of('"a@b"@Far.TEST') == "far.test"
