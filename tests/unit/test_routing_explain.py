"""The steps are the router's own, and so is the end."""

import pytest

from fastsmtp.mail import reply
from fastsmtp.routing.explain import checked_sender, explain
from fastsmtp.routing.route import Hop, LocalRoute, RemoteRoute
from tests.fakes.routing import FRIEND, STRANGER, route, router

ASKED = router(
    route("far.test", "h.test:25", "mx"),
    aliases={
        "info@example.org": ["alice@example.org", "Dora@far.test"],
        "team@example.org": ["bob@example.org", "emil@far.test"],
        "owner-team@example.org": ["alice@example.org"],
    },
)
FAR = RemoteRoute((Hop("smtp", "h.test", 25), Hop("mx", "far.test", 25)), "far.test")


def test_an_alias_with_all_its_steps() -> None:
    found = explain(ASKED, "<Info+x@Example.org>", STRANGER, "s@x.test")
    assert [(one.step, one.place) for one in found.steps] == [
        ("address", ""),
        ("canonical", ""),
        ("permission", "mailboxes.domains"),
        ("alias", 'aliases."info@example.org"'),
        ("route", "mailboxes.domains"),
        ("route", "routes[0]"),
    ]
    assert found.steps[0].text == 'local part "Info+x", domain "Example.org"'
    assert found.steps[1].text == "info+x@example.org"
    assert found.reply is reply.RECIPIENT_OK
    here, there = found.finals
    assert (here.address, here.route, str(here)) == (
        "alice@example.org", LocalRoute("alice@example.org"), "mailbox alice@example.org"
    )  # fmt: skip
    assert (there.address, there.route) == ("Dora@far.test", FAR)
    assert str(there).startswith("smtp:h.test:25, then MX of far.test, from <SRS0=")


def test_the_owner_of_a_list() -> None:
    found = explain(ASKED, "team@example.org", STRANGER, "s@x.test")
    assert "owner" in [one.step for one in found.steps]
    assert [one.sender for one in found.finals] == ["owner-team@example.org"] * 2


def test_another_s_domain() -> None:
    found = explain(ASKED, "x@far.test", STRANGER, "")
    assert found.reply is reply.RELAY_DENIED
    assert found.finals == []
    assert found.permitted is not None
    assert found.permitted.route == FAR
    found = explain(ASKED, "x@far.test", FRIEND, "")
    assert found.permitted is None
    assert [one.route for one in found.finals] == [FAR]
    assert (found.steps[2].step, found.steps[2].place) == ("permission", "relay.networks")


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        ("nobody@example.org", reply.MAILBOX_UNKNOWN),
        ("x%far.test@example.org", reply.MAILBOX_UNKNOWN),
        ('"x@far.test"@example.org', reply.MAILBOX_UNKNOWN),
        ("SRS0=AAAAAAAA=AA=x.test=a@example.org", reply.SRS_FORGED),
        ("x", reply.BAD_RECIPIENT_SYNTAX),
        ("<>", reply.BAD_RECIPIENT_SYNTAX),
        ("a@b.test> NOTIFY=NEVER", reply.BAD_RECIPIENT_SYNTAX),
        ("alice@example.org\r\n", reply.BAD_RECIPIENT_SYNTAX),
    ],
)
def test_refused(address: str, answer: reply.Reply) -> None:
    assert explain(ASKED, address, FRIEND, "").reply is answer


def test_a_source_route_is_named() -> None:
    found = explain(ASKED, "@a.test,@b.test:alice@example.org", STRANGER, "")
    assert found.steps[0].text.endswith("source route @a.test,@b.test: left out")
    assert [one.route for one in found.finals] == [LocalRoute("alice@example.org")]


def test_a_recipient_to_be_verified() -> None:
    found = explain(router(verify=True), "x@corp.test", STRANGER, "")
    assert str(found.finals[0]) == "MX of corp.test, which is asked for the recipient"


def test_explaining_changes_nothing() -> None:
    """What a friend is shown is not remembered for strangers."""
    asked = router()
    explain(asked, "x@far.test", FRIEND, "")
    assert asked.route("x", "far.test", STRANGER) is reply.RELAY_DENIED


def test_senders() -> None:
    assert checked_sender("") == checked_sender("<>") == ""
    assert checked_sender("<a@b.test>") == checked_sender("a@b.test") == "a@b.test"
    for text in ("a", "a@", "postmaster", "a b@c.test"):
        with pytest.raises(ValueError, match="expected an address"):
            checked_sender(text)


def test_who_is_asked_for_and_by_whom() -> None:
    asked = router(verify=True, aliases={"@example.net": ["@corp.test"], "info@example.org": ["a@corp.test"]})
    stranger = explain(asked, "x@example.net", STRANGER, "")
    assert str(stranger.finals[0]) == "MX of corp.test, which is asked for the recipient"
    [*_, step] = (one for one in stranger.steps if one.step == "recipient")
    assert (step.text, step.place) == (
        "x@corp.test: for strangers the next hop is asked",
        "relay.recipients",
    )
    for text, client in (
        ("x@example.net", FRIEND),
        ("x@corp.test", FRIEND),
        ("info@example.org", STRANGER),
    ):
        assert str(explain(asked, text, client, "").finals[0]) == "MX of corp.test"
