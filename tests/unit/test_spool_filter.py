"""What a filter means, and which range answers it."""

import random
import re

import pytest

from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.spool.filter import Filter, Matcher, Plan, glob, plan_of
from fastsmtp.spool.tables import BY_CODE, BY_DOMAIN, BY_FROM, BY_RCPT, BY_SENDER, HELD, WAIT
from fastsmtp.spool.waiting import RcptState, Try, Waiting

NOW = 1_700_000_000.0
PLANS = [
    (Filter(recipient="U@Far.test"), BY_RCPT, b"u@far.test\0", True),
    (Filter(recipient="*@Far.test"), BY_DOMAIN, b"test.far\0", True),
    (Filter(recipient="u*@far.test"), BY_DOMAIN, b"test.far\0u", True),
    (Filter(recipient="*@*.far.test"), BY_DOMAIN, b"test.far.", True),
    (Filter(recipient="news*"), BY_RCPT, b"news", True),
    (Filter(domain="far.test"), BY_DOMAIN, b"test.far\0", True),
    (Filter(domain="*.far.test"), BY_DOMAIN, b"test.far.", True),
    (Filter(sender=""), BY_FROM, b"\0", True),
    (Filter(sender="a@b.test"), BY_FROM, b"a@b.test\0", True),
    (Filter(sender="*@b.test"), BY_SENDER, b"test.b\0", True),
    (Filter(sender="list-*"), BY_FROM, b"list-", True),
    (Filter(code="451"), BY_CODE, b"451\0", True),
    (Filter(code="4"), BY_CODE, b"4", True),
    (Filter(state="held"), HELD, b"", True),
    (Filter(domain="far.test", code="451"), BY_DOMAIN, b"test.far\0", False),
    (Filter(recipient="a@b.test", sender="c@d.test"), BY_RCPT, b"a@b.test\0", False),
    (Filter(recipient="a" * 600 + "@b.test"), BY_RCPT, b"a" * 486 + b"\0", False),
]


@pytest.mark.parametrize(("filter", "table", "start", "exact"), PLANS)
def test_what_goes_by_an_index(filter: Filter, table: bytes, start: bytes, exact: bool) -> None:
    plan = plan_of(filter, NOW)
    assert (plan.table, plan.start, plan.exact, plan.scan) == (table, start, exact, False)
    assert (plan.end is None) == (table == HELD), "all of it, or a range"
    assert plan.end is None or plan.start < plan.end


@pytest.mark.parametrize(
    "filter",
    [
        Filter(), Filter(recipient="*x*@far.test"), Filter(recipient="*"), Filter(recipient="u?@far.test"),
        Filter(domain="far.*"), Filter(text="greylisted"), Filter(remote="mx*"), Filter(older=5.0),
        Filter(state="deferred"), Filter(recipient="*@?.test"), Filter(code=""),
        Filter(route=lambda address, hops: True),
    ],
)  # fmt: skip
def test_what_is_a_scan(filter: Filter) -> None:
    assert plan_of(filter, NOW) == Plan(WAIT, b"", None, scan=True)


def test_young_mail_is_found_by_its_ids() -> None:
    plan = plan_of(Filter(younger=60.0), NOW)
    assert plan.table == WAIT
    assert len(plan.start) == 9
    assert not plan.scan
    assert plan_of(Filter(younger=1e12), NOW).start == b"000000000"


def test_a_range_ends_behind_all_it_holds() -> None:
    plan = plan_of(Filter(sender="\udcff*"), NOW)
    assert plan.start == b"\xff"
    assert plan.end is None


@pytest.mark.parametrize("seed", range(20))
def test_globs_against_plain_expressions(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(300):
        pattern = "".join(dice.choices("ab.*?@", k=dice.randint(0, 7)))
        text = "".join(dice.choices("abB.@", k=dice.randint(0, 7)))
        form = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
        assert glob(pattern)(text) == bool(re.fullmatch(form, text, re.IGNORECASE)), (pattern, text)


def test_a_hostile_text_takes_no_time() -> None:
    assert not glob("*a" * 30 + "b")("a" * 3000)


def envelope(*addresses: str, age: float = 10.0) -> Envelope:
    return Envelope(
        "0123456789abc", "S@here.test", [Recipient(a, "") for a in addresses], "192.0.2.1", "c", "ESMTP", NOW - age
    )  # fmt: skip


def test_what_is_said_of_recipients_must_hold_for_one_of_them() -> None:
    waiting = Waiting(
        NOW, False, False,
        [RcptState(0, 0.0, (Try(NOW, 451, "4.7.1", "Greylisted", "mx.a.test[192.0.2.1]"),)), RcptState(2)],
    )  # fmt: skip
    one = envelope("u@a.test", "final@b.test", "u@c.test")

    def fits(**conditions: str) -> bool:
        return Matcher(Filter(**conditions), NOW).fits(one, waiting)  # type: ignore[arg-type]

    assert fits(domain="a.test", code="451", text="GREY", remote="mx.a*")
    assert fits(domain="c.test", code="000")
    assert not fits(domain="c.test", code="451")
    assert not fits(domain="b.test"), "who is final is not meant"
    assert fits(sender="s@HERE.test")
    assert not fits(sender="")
    assert fits(state="deferred")
    assert not fits(state="held")
    assert not fits(state="fresh")


def test_a_route_is_asked_of_the_same_recipient_and_the_hops_of_its_message() -> None:
    one = envelope("a@near.test", "b@far.test")

    def fits(waiting: Waiting | None, **conditions: object) -> bool:
        given = {"route": lambda address, hops: hops == ("mx",) or address == "b@far.test", **conditions}
        return Matcher(Filter(**given), NOW).fits(one, waiting)  # type: ignore[arg-type]

    assert fits(None)
    assert not fits(None, recipient="a@*")
    assert not fits(Waiting(NOW, False, False, [RcptState(0)]))
    assert fits(Waiting(NOW, False, False, [RcptState(0)], ("mx",)))


def test_ages_and_ids() -> None:
    one = envelope("u@a.test", age=100.0)
    for filter, right in (
        (Filter(older=99.0), True), (Filter(older=101.0), False), (Filter(younger=101.0), True),
        (Filter(younger=99.0), False), (Filter(ids=("0123456789abc",)), True), (Filter(ids=("x",)), False),
    ):  # fmt: skip
        assert Matcher(filter, NOW).fits(one, None) is right


def test_fresh_mail_has_no_reply() -> None:
    assert Matcher(Filter(code="0"), NOW).may_be_fresh
    assert Matcher(Filter(code="000"), NOW).fits(envelope("a@b.test"), None)
    for filter in (Filter(code="4"), Filter(text="x"), Filter(remote="mx*"), Filter(state="held")):
        assert not Matcher(filter, NOW).may_be_fresh
    assert not Matcher(Filter(state="fresh"), NOW).may_wait
