"""Who is owed a notification: RFC 3461 §5.2 as tables."""

import pytest

from fastsmtp.bounce.decide import Action, Decision, Notice, Outcome, Untold, decide, member_of_list
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mail.result import DeliveryResult

ALICE = "alice@example.org"
POSTMASTER = "postmaster@mx.example.org"


def envelope(sender: str = ALICE) -> Envelope:
    return Envelope("0AbCdEfGhIjKl", sender, [], "192.0.2.9", "client.test", "ESMTP", 1_000_000.0)


def outcome(action: Action, recipient: Recipient) -> Outcome:
    status = {"failed": "failed", "delayed": "deferred", "relayed": "relayed"}.get(action, "delivered")
    result = DeliveryResult(0, status, 0, "", "", "", "x-fastsmtp")  # type: ignore[arg-type]
    return Outcome(recipient, action, result, 1_000_100.0)


def bob(notify: str | None = None, sender: str | None = None, original: str | None = None) -> Recipient:
    return Recipient("bob@far.test", "", None if notify is None else {"NOTIFY": notify}, sender, original)


TOLD: dict[Action, tuple[str | None, ...]] = {
    "relayed": ("SUCCESS", "SUCCESS,FAILURE", "SUCCESS,DELAY", "SUCCESS,FAILURE,DELAY"),  # §5.2.2 b, d, e
    "delivered": ("SUCCESS", "SUCCESS,FAILURE", "SUCCESS,DELAY", "SUCCESS,FAILURE,DELAY"),  # §5.2.3
    "expanded": ("SUCCESS", "SUCCESS,FAILURE", "SUCCESS,DELAY", "SUCCESS,FAILURE,DELAY"),  # §5.2.7.3 c
    "delayed": (None, "DELAY", "FAILURE,DELAY", "SUCCESS,DELAY", "SUCCESS,FAILURE,DELAY"),  # §5.2.5
    "failed": (
        None,
        "FAILURE",
        "FAILURE,DELAY",
        "SUCCESS,FAILURE",
        "SUCCESS,FAILURE,DELAY",
    ),  # §5.2.6, §5.2.2 c, f
}
ALL = (
    None,
    "NEVER",
    "SUCCESS",
    "FAILURE",
    "DELAY",
    "SUCCESS,FAILURE",
    "SUCCESS,DELAY",
    "FAILURE,DELAY",
    "SUCCESS,FAILURE,DELAY",
)


@pytest.mark.parametrize("action", TOLD)
@pytest.mark.parametrize("notify", ALL)
def test_every_outcome_with_every_wish(action: Action, notify: str | None) -> None:
    one = outcome(action, bob(notify))
    decision = decide(envelope(), [one], POSTMASTER)
    if notify in TOLD[action]:
        kind = "succeeded" if action in ("relayed", "delivered", "expanded") else action
        assert decision == Decision((Notice(ALICE, kind, (one,)),), ())  # type: ignore[arg-type]
    else:
        silent = (Untold(one, "the sender asked not to be told"),) if action == "failed" else ()
        assert decision == Decision((), silent)


@pytest.mark.parametrize("action", TOLD)
@pytest.mark.parametrize("notify", ALL)
def test_without_a_sender_nobody_is_told(action: Action, notify: str | None) -> None:
    one = outcome(action, bob(notify))
    assert decide(envelope(""), [one]) == Decision(
        (), (Untold(one, "it has no sender"),) if action == "failed" else ()
    )


@pytest.mark.parametrize("action", TOLD)
@pytest.mark.parametrize("notify", ALL)
def test_without_a_sender_the_postmaster_may_be_told_of_failures(action: Action, notify: str | None) -> None:
    one = outcome(action, bob(notify))
    double = (Notice(POSTMASTER, "failed", (one,), double=True),) if action == "failed" else ()
    assert decide(envelope(""), [one], POSTMASTER) == Decision(double, ())


@pytest.mark.parametrize(
    "recipient",
    [
        Recipient(POSTMASTER, ""),
        Recipient("Postmaster@MX.example.org", ""),
        Recipient("admin@elsewhere.test", "", None, None, POSTMASTER),  # by an alias
    ],
)
def test_the_postmaster_is_not_told_that_the_postmaster_cannot_be_told(recipient: Recipient) -> None:
    one = outcome("failed", recipient)
    assert decide(envelope(""), [one], POSTMASTER) == Decision(
        (), (Untold(one, "the postmaster's own address failed"),)
    )
    assert decide(envelope(), [one], POSTMASTER).notices == (Notice(ALICE, "failed", (one,)),)


def test_a_list_s_owner_is_told_of_its_members_whatever_the_author_asked_for() -> None:
    for notify in ALL:
        member = bob(notify, sender="talk-owner@example.org", original="talk@example.org")
        failed, delayed, done = (outcome(a, member) for a in ("failed", "delayed", "delivered"))  # type: ignore[arg-type]
        assert decide(envelope(), [failed, delayed, done]).notices == (
            Notice("talk-owner@example.org", "failed", (failed,), from_list=True),
            Notice("talk-owner@example.org", "delayed", (delayed,), from_list=True),
        )


def test_a_list_does_not_give_a_sender_to_what_came_without() -> None:
    one = outcome("failed", bob(sender="talk-owner@example.org"))
    assert decide(envelope(""), [one]).notices == ()
    assert decide(envelope(""), [one], POSTMASTER).notices[0].to == POSTMASTER


def test_a_sender_taken_away_is_not_told() -> None:
    one = outcome("failed", bob(sender=""))
    assert decide(envelope(), [one]) == Decision((), (Untold(one, "it has no sender"),))


def test_a_rewritten_sender_keeps_the_sender_s_wishes() -> None:
    srs = "SRS0=HHH=TT=example.org=alice@mx.example.org"
    told, silent = outcome("failed", bob(sender=srs)), outcome("failed", bob("NEVER", sender=srs))
    assert decide(envelope(), [told, silent]) == Decision(
        (Notice(srs, "failed", (told,)),), (Untold(silent, "the sender asked not to be told"),)
    )


@pytest.mark.parametrize(
    ("sender", "member"),
    [
        (None, False),
        ("talk-owner@example.org", True),
        ("", True),
        ("SRS0=HHH=TT=example.org=alice@mx.example.org", False),
        ("srs1+HHH=a.test==HHH=TT=example.org=alice@mx.example.org", False),
        ("srs0rtal@example.org", True),
    ],
)
def test_who_is_a_member(sender: str | None, member: bool) -> None:
    assert member_of_list(bob(sender=sender)) is member


def test_one_notification_for_all_that_share_their_return_address_and_what_happened() -> None:
    plain = [outcome("failed", Recipient(f"r{n}@far.test", "")) for n in range(3)]
    late = outcome("delayed", Recipient("late@far.test", ""))
    done = outcome("delivered", Recipient("done@far.test", "", {"NOTIFY": "SUCCESS"}))
    passed_on = outcome("relayed", Recipient("on@far.test", "", {"NOTIFY": "SUCCESS,FAILURE"}))
    quiet = outcome("failed", Recipient("quiet@far.test", "", {"NOTIFY": "NEVER"}))
    member = outcome("failed", Recipient("m@far.test", "", None, "talk-owner@example.org"))
    # the owner writes to the list: what concerns the list is kept apart
    own = outcome("failed", Recipient("n@far.test", "", None, ALICE))
    every = [plain[0], late, member, plain[1], done, quiet, own, passed_on, plain[2]]
    assert decide(envelope(), every) == Decision(
        (
            Notice(ALICE, "failed", tuple(plain)),
            Notice(ALICE, "delayed", (late,)),
            Notice("talk-owner@example.org", "failed", (member,), from_list=True),
            Notice(ALICE, "succeeded", (done, passed_on)),
            Notice(ALICE, "failed", (own,), from_list=True),
        ),
        (Untold(quiet, "the sender asked not to be told"),),
    )
