"""From outcomes to results, and to a word on the site."""

from typing import Any

import pytest

from fastsmtp.mail.result import DeliveryResult
from fastsmtp.queue.plan.outcome import Outcome as Planned
from fastsmtp.queue.plan.outcome import outcome_of
from fastsmtp.smtp.outgoing_plan import NEXT_TRANSACTION
from fastsmtp.smtp.outgoing_values import Outcome
from fastsmtp.transport.smtp.opening import Failure, ours
from fastsmtp.transport.smtp.verdict import OK, result, site, verdict, weight


def said(code: int, stage: str, enhanced: str = "") -> Outcome:
    status: Any = "failed" if code // 100 == 5 else "deferred"
    return Outcome(status, code, enhanced or f"{code // 100}.0.0", f"said {code}", stage, False)


def test_results() -> None:
    one = result(3, "mx[192.0.2.1]:25", said(550, "rcpt", "5.1.1"))
    assert one == DeliveryResult(3, "failed", 550, "5.1.1", "said 550", "mx[192.0.2.1]:25", "smtp")
    assert result(0, "", ours("4.4.1", "nobody there", "connect")).diagnostic == "x-fastsmtp"
    assert result(0, "", NEXT_TRANSACTION).status == "deferred"


# --- what is told when no host would have it -----------------------------------------------------------------------


def spoke(code: int, status: Any = "deferred") -> Failure:
    return Failure(f"mx{code}", said(code, "connect")._replace(status=status))


UNREACHABLE = Failure("", ours("4.4.1", "connect to mx1: refused", "connect"))
SILENT = Failure("mx2[192.0.2.2]:25", ours("4.4.2", "said nothing", "connect"))


@pytest.mark.parametrize(
    ("failures", "remote", "text"),
    [
        ([], "", "there is no host to send to"),
        ([UNREACHABLE], "", "connect to mx1: refused"),
        ([spoke(421), UNREACHABLE], "mx421", "said 421"),
        ([spoke(450), spoke(421)], "mx421", "said 421"),
        ([UNREACHABLE, SILENT], SILENT.remote, f"connect to mx1: refused; {SILENT.remote}: said nothing"),
        ([spoke(521, "failed"), UNREACHABLE], "", "connect to mx1: refused"),
        ([spoke(521, "failed"), spoke(521, "failed")], "mx521", "said 521"),
    ],
)
def test_the_most_telling_reason(failures: list[Failure], remote: str, text: str) -> None:
    assert verdict(failures)[0] == remote
    assert verdict(failures)[1].text == text


# --- the site ------------------------------------------------------------------------------------------------------


def test_nothing_was_put_off() -> None:
    assert site(None) is OK
    assert outcome_of(OK.stage, OK.code, OK.enhanced) is Planned.DONE
    assert site(ours("4.3.2", "the server is stopping", "plan")) is OK
    assert site(said(550, "mail")) is OK


@pytest.mark.parametrize(
    ("outcome", "kind", "planned"),
    [
        (ours("4.4.1", "refused", "connect"), "unreachable", Planned.UNREACHABLE),
        (said(554, "connect"), "unreachable", Planned.UNREACHABLE),
        (said(550, "helo"), "unreachable", Planned.UNREACHABLE),
        (ours("4.7.5", "TLS failed", "tls"), "unreachable", Planned.UNREACHABLE),
        (said(535, "auth"), "unreachable", Planned.UNREACHABLE),
        (said(421, "connect"), "slow-down", Planned.BUSY),
        (said(454, "starttls"), "slow-down", Planned.BUSY),
        (said(451, "mail"), "slow-down", Planned.SLOWER),
        (said(421, "rcpt"), "slow-down", Planned.SLOWER),
        (said(450, "rcpt"), "ok", Planned.PUT_OFF),
        (said(452, "body"), "slow-down", Planned.SLOWER),
        (ours("4.4.2", "hung up", "mail"), "slow-down", Planned.SLOWER),
        (ours("4.4.2", "hung up", "body"), "slow-down", Planned.SLOWER),
    ],
)
def test_what_the_site_is_said_to_be_and_what_its_plan_makes_of_it(
    outcome: Outcome, kind: str, planned: Planned
) -> None:
    word = site(outcome)
    assert word.kind == kind
    assert outcome.text in word.reason
    assert outcome_of(word.stage, word.code, word.enhanced) is planned


def test_what_weighs_most() -> None:
    order = [said(550, "rcpt"), said(450, "rcpt"), ours("4.4.2", "gone", "data"), said(451, "data")]
    assert [weight(one) for one in order] == [0, 1, 2, 3]
