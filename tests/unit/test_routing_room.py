"""Whether a mailbox is asked about, and with what."""

import pytest

from fastsmtp.mail.reply import MAILBOX_FULL
from fastsmtp.routing.room import refusal
from fastsmtp.routing.route import LocalRoute, Target
from tests.fakes.quotas import FakeQuotas


@pytest.mark.parametrize("place", [LocalRoute("a@x", 1000), Target("A+tag@x", "a@x", quota=1000)])
def test_a_mailbox_with_a_quota_is_asked_about(place: LocalRoute | Target) -> None:
    quotas = FakeQuotas()
    assert refusal(quotas, place, None) is None
    quotas.full["a@x"] = MAILBOX_FULL
    assert refusal(quotas, place, {"SIZE": "7"}) is MAILBOX_FULL
    assert quotas.asked == [("a@x", 1000, 0), ("a@x", 1000, 7)]


@pytest.mark.parametrize("place", [LocalRoute("a@x"), Target("b@y", "")])
def test_one_without_is_not(place: LocalRoute | Target) -> None:
    quotas = FakeQuotas()
    quotas.full = {"a@x": MAILBOX_FULL, "": MAILBOX_FULL}
    assert refusal(quotas, place, None) is None
    assert quotas.asked == []


def test_without_quotas_nothing_is_full() -> None:
    assert refusal(None, LocalRoute("a@x", 1), {"SIZE": "2"}) is None
