"""Recipients find their mailbox, their host, those they stand for, or their refusal."""

import re

import pytest

from fastsmtp.accounts.base import Account, Identity
from fastsmtp.accounts.static import StaticDirectory
from fastsmtp.mail.envelope import Recipient
from fastsmtp.mail.reply import (
    ALIAS_LOOP,
    MAILBOX_UNKNOWN,
    RELAY_DENIED,
    SRS_EXPIRED,
    SRS_FORGED,
    Reply,
)
from fastsmtp.routing.addresses import split
from fastsmtp.routing.aliases import AliasTable
from fastsmtp.routing.relay import Recipients, RelayRules
from fastsmtp.routing.route import Expansion, Hop, LocalRoute, RemoteRoute, Target
from fastsmtp.routing.router import Router, copy_key
from fastsmtp.routing.settings import RelaySettings, VerifySettings
from fastsmtp.routing.tables import RoutingTables
from tests.fakes.accounts import FakeNames
from tests.fakes.clock import FakeClock
from tests.fakes.routing import FRIEND, STRANGER, mailboxes, route, router, tables


def mx(domain: str, name: str = "*", verify: bool = False) -> RemoteRoute:
    return RemoteRoute((Hop("mx", domain, 25),), name, verify)


class CountingDirectory(StaticDirectory):
    """alice of example.org, and everybody whose name begins with u."""

    def __init__(self) -> None:
        super().__init__(mailboxes(("example.org",), ()))
        self.asked = 0

    def lookup(self, local: str, domain: str) -> Account | None:
        self.asked += 1
        if domain == "example.org" and (local in ("alice", "postmaster") or local.startswith("u")):
            return Account(f"{local}@example.org")
        return None


@pytest.fixture
def directory() -> CountingDirectory:
    return CountingDirectory()


@pytest.fixture
def counted(directory: CountingDirectory) -> Router:
    relay = RelayRules(RelaySettings(networks=("127.0.0.0/8",), domains=("corp.test",)))
    return Router(RoutingTables(directory, domains=("example.org",), relay=relay), FakeClock())


# --- who may send where ---------------------------------------------------------------------------


def test_into_a_mailbox() -> None:
    decide = router().route
    assert decide("alice", "example.org", STRANGER) == LocalRoute("alice@example.org")
    assert decide("Alice+x", "EXAMPLE.org.", STRANGER) == LocalRoute("alice@example.org")
    assert decide("postmaster", "", STRANGER) == LocalRoute("alice@example.org")
    assert decide("carol", "example.net", FRIEND) == LocalRoute("carol@example.net")


def test_nobody_of_ours() -> None:
    for client in (STRANGER, FRIEND):
        assert router().route("carol", "example.org", client) is MAILBOX_UNKNOWN
        assert router().route("bob", "", client) is MAILBOX_UNKNOWN
    assert router(domains=(), users=(), postmaster="p").route("postmaster", "", FRIEND) is MAILBOX_UNKNOWN


@pytest.mark.parametrize(
    ("client", "allowed"),
    [
        (STRANGER, False),
        ("2001:db9::1", False),
        ("no address", False),
        (FRIEND, True),
        ("2001:db8::7", True),
        ("::ffff:192.0.2.9", True),
    ],
)
def test_other_domains(client: str, allowed: bool) -> None:
    decide = router().route
    for _ in range(2):  # the second time from memory
        assert decide("alice", "example.com", client) == (mx("example.com") if allowed else RELAY_DENIED)
    literal = RemoteRoute((Hop("smtp", "198.51.100.1", 25),), "*")
    assert decide("alice", "[198.51.100.1]", client) == (literal if allowed else RELAY_DENIED)


def test_what_a_friend_was_told_is_not_for_strangers() -> None:
    """Both ask the same router for the same address."""
    decide = router().route
    assert decide("x", "far.test", STRANGER) is RELAY_DENIED
    assert decide("x", "far.test", FRIEND) == mx("far.test")
    assert decide("x", "far.test", STRANGER) is RELAY_DENIED


def test_an_ipv6_literal_is_its_own_host() -> None:
    found = router().route("x", "[IPv6:2001:DB8::5]", FRIEND)
    assert found == RemoteRoute((Hop("smtp", "2001:db8::5", 25),), "*")


def test_domains_that_live_elsewhere() -> None:
    decide = router().route
    assert decide("anybody", "Corp.test", STRANGER) == mx("corp.test")
    assert decide("anybody", "a.b.below.test", STRANGER) == mx("a.b.below.test")
    assert decide("anybody", "below.test", STRANGER) is RELAY_DENIED
    assert decide("anybody", "sub.corp.test", STRANGER) is RELAY_DENIED


def test_recipients_that_live_elsewhere() -> None:
    known = Recipients({("dora", "corp.test")}, {"all.below.test"})
    decide = router(recipients=known).route
    for client in (STRANGER, FRIEND):
        assert decide("Dora", "corp.test", client) == mx("corp.test")
        assert decide("dora+x", "corp.test", client) is MAILBOX_UNKNOWN  # what + means is theirs to say
        assert decide("emil", "corp.test", client) is MAILBOX_UNKNOWN
        assert decide("emil", "all.below.test", client) == mx("all.below.test")
        assert decide("postmaster", "corp.test", client) == mx("corp.test")


def test_recipients_to_be_verified() -> None:
    decide = router(verify=True).route
    assert decide("x", "corp.test", STRANGER) == mx("corp.test", verify=True)
    assert decide("x", "far.test", FRIEND) == mx("far.test")


def test_whom_the_settings_name_nobody_is_asked_for() -> None:
    """A route or an alias for this very address says that it exists."""
    asked = router(
        route("boss@corp.test", "h.test:25"),
        route("team@*", "h.test:25"),
        route("corp.test", "mx:hosts.test"),
        verify=True,
        aliases={"info@example.org": ["x@corp.test"], "@example.net": ["@corp.test"]},
    )
    for name, verify in (("boss", False), ("team", False), ("x", True)):
        found = asked.route(name, "corp.test", STRANGER)
        assert isinstance(found, RemoteRoute)
        assert found.verify is verify
        later = asked.next_hop(f"{name}@corp.test")
        assert isinstance(later, RemoteRoute)
        assert not later.verify
    named, whole = asked.route("info", "example.org", STRANGER), asked.route("x", "example.net", STRANGER)
    assert isinstance(named, Expansion)
    assert isinstance(whole, Expansion)
    assert named.asked == ()
    assert whole.asked == (("x@corp.test", mx("hosts.test", "corp.test", verify=True)),)
    assert asked.trusts(FRIEND)
    assert not asked.trusts(STRANGER)
    assert asked.verification == VerifySettings()


@pytest.mark.parametrize(
    ("local", "domain"),
    [
        ("x%far.test", "example.org"),
        ("x@far.test", "example.org"),  # was in quotes
        ("far.test!x", "example.org"),
        ("@far.test:x", "example.org"),
        ("alice@example.org", "example.org"),
        ("alice%example.org", "example.org"),
        ("example.org!alice", "example.org"),
        ('"alice"', "example.org"),
    ],
)
def test_a_local_part_is_no_second_address(local: str, domain: str) -> None:
    assert router().route(local, domain, STRANGER) is MAILBOX_UNKNOWN
    assert router().route(local, "far.test", STRANGER) is RELAY_DENIED
    # a catch-all sends it to where it says, and nowhere else
    caught = router(aliases={"@example.org": ["alice@example.org"]}).route(local, domain, STRANGER)
    assert caught == Expansion((Target("alice@example.org", "alice@example.org"),))
    # handed on, it stays one local part
    handed = router(aliases={"@example.org": ["@corp.test"]}).route(local, domain, FRIEND)
    assert isinstance(handed, Expansion)
    assert [one.address.rpartition("@")[2] for one in handed.targets] == ["corp.test"]


def test_domains_in_u_labels() -> None:
    assert router().route("x", "bücher.test", STRANGER) is RELAY_DENIED
    assert router().route("x", "bücher.test", FRIEND) == mx("xn--bcher-kva.test")
    assert router().route("x", "straße.test", FRIEND) == mx("xn--strae-oqa.test"), "not that of strasse.test"
    ours = router(domains=("bücher.test",), users=("alice",))
    assert ours.route("alice", "BÜCHER.test", STRANGER) == LocalRoute("alice@xn--bcher-kva.test")
    gate = router(route("*.bücher.test", "mx:corp.test"), relay=("*.bücher.test",))
    assert gate.route("x", "a.bücher.test", STRANGER) == mx("corp.test", "*.bücher.test")


# --- aliases and return addresses -----------------------------------------------------------------


def test_an_alias_for_several() -> None:
    asked = router(aliases={"info@example.org": ["alice@example.org", "Dora@far.test"]})
    found = asked.route("Info+shop", "example.org", STRANGER)
    assert found == Expansion((Target("alice@example.org", "alice@example.org"), Target("Dora@far.test", "")))
    assert isinstance(found, Expansion)
    assert found.remote
    made = asked.recipients(found, "Info+shop@example.org", "s@x.test", {"NOTIFY": "NEVER"})
    assert made[0] == Recipient(
        "alice@example.org", "alice@example.org", {"NOTIFY": "NEVER"}, None, "Info+shop@example.org"
    )
    assert (made[1].address, made[1].mailbox, made[1].original) == (
        "Dora@far.test",
        "",
        "Info+shop@example.org",
    )
    assert re.fullmatch(r"SRS0=[A-Z2-7]{8}=[A-Z2-7]{2}=x\.test=s@example\.org", made[1].sender or "")


@pytest.mark.parametrize("sender", ["", "alice@example.net", "SRS0=ABCDEFGH=AA=x.test=s@example.org"])
def test_senders_that_stay_what_they_are(sender: str) -> None:
    """The null sender, and those in domains of ours."""
    asked = router(aliases={"info@example.org": ["dora@far.test"]})
    found = asked.route("info", "example.org", STRANGER)
    assert isinstance(found, Expansion)
    assert [one.sender for one in asked.recipients(found, "info@example.org", sender, None)] == [None]


def test_without_a_secret_senders_stay() -> None:
    asked = router(srs=False, aliases={"info@example.org": ["dora@far.test"]})
    found = asked.route("info", "example.org", STRANGER)
    assert isinstance(found, Expansion)
    assert asked.recipients(found, "info@example.org", "s@x.test", None)[0].sender is None
    assert asked.route("SRS0=ABCDEFGH=AA=x.test=s", "example.org", STRANGER) is MAILBOX_UNKNOWN


def test_a_list_with_an_owner() -> None:
    asked = router(
        aliases={
            "team@example.org": ["alice@example.org", "dora@far.test"],
            "owner-team@example.org": ["bob@example.org"],
        }
    )
    found = asked.route("team", "example.org", STRANGER)
    assert isinstance(found, Expansion)
    made = asked.recipients(found, "team@example.org", "s@x.test", {"NOTIFY": "SUCCESS"})
    assert [(one.sender, one.params) for one in made] == [("owner-team@example.org", None)] * 2
    assert [one.sender for one in asked.recipients(found, "team@example.org", "", None)] == [None, None]
    assert asked.route("owner-team", "example.org", STRANGER) == Expansion(
        (Target("bob@example.org", "bob@example.org"),)
    )


def test_a_bounce_comes_back() -> None:
    clock = FakeClock()
    asked = router(clock=clock, aliases={"info@example.org": ["dora@far.test"]})
    found = asked.route("info", "example.org", STRANGER)
    assert isinstance(found, Expansion)
    sender = asked.recipients(found, "info@example.org", "Some.One@x.test", None)[0].sender
    assert sender is not None
    local = sender.rpartition("@")[0]
    back = asked.route(local, "example.org", STRANGER)
    assert back == Expansion((Target("Some.One@x.test", ""),))
    assert asked.recipients(back, sender, "", None) == [  # type: ignore[arg-type]
        Recipient("Some.One@x.test", "", None, None, sender)
    ]
    assert asked.route(local.lower(), "EXAMPLE.ORG", STRANGER) == Expansion((Target("some.one@x.test", ""),))
    assert asked.route(local, "example.net", STRANGER) is MAILBOX_UNKNOWN
    assert asked.route(local[:-1], "example.org", STRANGER) is SRS_FORGED
    clock.pass_by(30 * 86_400)
    assert asked.route(local, "example.org", STRANGER) is SRS_EXPIRED


def test_a_bounce_to_a_sender_that_is_ours_by_now() -> None:
    clock = FakeClock()
    before = router(clock=clock, aliases={"info@example.org": ["dora@far.test"]})
    found = before.route("info", "example.org", STRANGER)
    assert isinstance(found, Expansion)
    sender = before.recipients(found, "info@example.org", "alice@new.test", None)[0].sender
    assert sender is not None
    after = router(clock=clock, domains=("example.org", "new.test"))
    assert after.route(sender.rpartition("@")[0], "example.org", STRANGER) == Expansion(
        (Target("alice@new.test", "alice@new.test"),)
    )
    gone = router(clock=clock, domains=("example.org", "new.test"), users=("bob",), postmaster="bob")
    assert gone.route(sender.rpartition("@")[0], "example.org", STRANGER) is MAILBOX_UNKNOWN


def test_a_loop_is_refused() -> None:
    """By domains that stand for each other no settings check can find it for every name."""
    aliases = AliasTable({"@example.org": ["@example.net"], "@example.net": ["@example.org"]})
    made = RoutingTables(tables().directory, domains=("example.org", "example.net"), aliases=aliases)
    assert Router(made, FakeClock()).route("x", "example.org", STRANGER) is ALIAS_LOOP
    assert Router(made, FakeClock()).route("alice", "example.org", STRANGER) == LocalRoute(
        "alice@example.org"
    )


# --- memory ---------------------------------------------------------------------------------------


def test_a_known_recipient_is_not_looked_up_again(counted: Router, directory: CountingDirectory) -> None:
    first = counted.route("alice", "example.org", STRANGER)
    assert counted.route("alice", "example.org", "127.0.0.1") is first
    assert directory.asked == 1
    other = counted.route("alice", "far.test", "127.0.0.1")
    assert counted.route("alice", "far.test", "127.0.0.1") is other
    third = counted.route("alice", "corp.test", STRANGER)
    assert counted.route("alice", "corp.test", STRANGER) is third


def test_memory_of_recipients_is_bounded(counted: Router, directory: CountingDirectory) -> None:
    for i in range(10_001):
        counted.route(f"u{i}", "example.org", "127.0.0.1")
    counted.route("u10000", "example.org", "127.0.0.1")
    assert directory.asked == 10_001
    counted.route("u0", "example.org", "127.0.0.1")
    assert directory.asked == 10_002


def test_a_long_list_is_kept_once_however_it_is_written() -> None:
    members = [f"m{i}@far.test" for i in range(20)]
    asked = router(aliases={"all@example.org": members})
    first = asked.route("all", "example.org", STRANGER)
    assert asked.route("ALL+1", "example.org", STRANGER) is first
    assert asked.route("all+2", "Example.org", STRANGER) is first


def test_memory_of_long_lists_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastsmtp.routing.router._CACHED_TARGETS", 50)
    members = [f"m{i}@far.test" for i in range(20)]
    asked = router(aliases={f"l{i}@example.org": members for i in range(3)})
    first = asked.route("l0", "example.org", STRANGER)
    asked.route("l1", "example.org", STRANGER)
    assert asked.route("l0", "example.org", STRANGER) is first
    asked.route("l2", "example.org", STRANGER)
    assert asked.route("l0", "example.org", STRANGER) is not first


def test_new_tables_count_at_once() -> None:
    asked = router(aliases={"info@example.org": ["alice@example.org"]})
    assert asked.route("alice", "example.org", STRANGER) == LocalRoute("alice@example.org")
    assert asked.route("x", "far.test", FRIEND) == mx("far.test")
    assert asked.next_hop("x@far.test") == mx("far.test")
    asked.replace(tables(route("far.test", "h.test:25"), users=("bob",), postmaster="bob"))
    elsewhere = RemoteRoute((Hop("smtp", "h.test", 25),), "far.test")
    assert asked.route("alice", "example.org", STRANGER) is MAILBOX_UNKNOWN
    assert asked.route("info", "example.org", STRANGER) is MAILBOX_UNKNOWN
    assert asked.route("x", "far.test", FRIEND) == elsewhere
    assert asked.next_hop("x@far.test") == elsewhere


# --- at delivery ----------------------------------------------------------------------------------


def test_next_hop() -> None:
    asked = router(
        route("corp.test", "10.0.0.1:25", "[::1]:26"),
        recipients=Recipients(set(), set()),
        aliases={"info@example.org": ["dora@far.test"]},
    )
    assert asked.next_hop("x@far.test") == mx("far.test")
    assert asked.next_hop("x@far.test") is asked.next_hop("x@far.test")
    # it was accepted: who is on the list now is no question any more
    assert asked.next_hop('"a b"@corp.test') == RemoteRoute(
        (Hop("smtp", "10.0.0.1", 25), Hop("smtp", "::1", 26)), "corp.test"
    )
    assert asked.next_hop("alice@example.org") == LocalRoute("alice@example.org")
    assert asked.next_hop("info@example.org") is MAILBOX_UNKNOWN


def test_one_copy() -> None:
    assert copy_key(Recipient("Alice+x@example.org", "alice@example.org")) == "alice@example.org"
    assert copy_key(Recipient("Bob@Far.TEST", "")) == "Bob@far.test"


def test_what_this_server_made_may_go_anywhere() -> None:
    known = router(aliases={"team@example.org": ["bob@example.org", "x@far.test"]})
    assert known.own("bob", "example.org") == LocalRoute("bob@example.org")
    assert isinstance(known.own("x", "far.test"), RemoteRoute)
    assert isinstance(known.own("team", "example.org"), Expansion)
    assert known.own("nobody", "example.org") == MAILBOX_UNKNOWN
    assert known.own("nobody", "") == MAILBOX_UNKNOWN


def test_a_notice_to_a_return_address_goes_back_to_the_sender_it_stands_for() -> None:
    clock = FakeClock()
    known = router(clock=clock, aliases={"team@example.org": ["x@far.test"]})
    found = known.own("team", "example.org")
    assert isinstance(found, Expansion)
    [sent_on] = known.recipients(found, "team@example.org", "someone@away.test", None)
    assert sent_on.sender is not None
    back = known.own(*split(sent_on.sender))
    assert back == Expansion((Target("someone@away.test", ""),))


# --- names of a backend, which change while the router decides --------------------------------------


def test_what_changes_in_the_backend_counts_at_once() -> None:
    names = FakeNames()
    one = router(names=names)
    assert one.route("dan", "example.org", STRANGER) is MAILBOX_UNKNOWN
    names.users.add("dan@example.org")
    names.version += 1
    assert one.route("dan", "example.org", STRANGER) == LocalRoute("dan@example.org")
    assert one.next_hop("dan@example.org") == LocalRoute("dan@example.org")
    names.users.clear()
    names.version += 1
    assert one.route("dan", "example.org", STRANGER) is MAILBOX_UNKNOWN
    assert one.next_hop("dan@example.org") is MAILBOX_UNKNOWN


def test_domains_and_aliases_of_the_backend() -> None:
    names = FakeNames(
        users={"dan@shop.test", "eve@shop.test", "jo@xn--bcher-kva.test"},
        aliases={
            "sales@shop.test": ("dan@shop.test", "eve@shop.test"),
            "info@example.org": ("alice@example.org", "dan@far.test"),
            "list@shop.test": ("eve@shop.test",),
            "owner-list@shop.test": ("dan@shop.test",),
            "@shop.test": ("dan@shop.test",),
            "loop@shop.test": ("loop2@shop.test",),
            "loop2@shop.test": ("loop@shop.test",),
        },
    )
    decide = router(names=names).route

    def targets(local: str, domain: str) -> list[tuple[str, str, str | None]]:
        found = decide(local, domain, STRANGER)
        assert isinstance(found, Expansion)
        return [(one.address, one.mailbox, one.owner) for one in found.targets]

    assert decide("Dan+x", "SHOP.test", STRANGER) == LocalRoute("dan@shop.test")
    assert decide("jo", "bücher.test", STRANGER) == LocalRoute("jo@xn--bcher-kva.test")
    assert decide("postmaster", "shop.test", STRANGER) == LocalRoute("alice@shop.test")
    assert [mailbox for _, mailbox, _ in targets("Sales+tag", "shop.test")] == [
        "dan@shop.test",
        "eve@shop.test",
    ]
    assert [mailbox for _, mailbox, _ in targets("info", "example.org")] == ["alice@example.org", ""]
    assert targets("list", "shop.test") == [("eve@shop.test", "eve@shop.test", "owner-list@shop.test")]
    assert [mailbox for _, mailbox, _ in targets("whoever", "shop.test")] == ["dan@shop.test"]
    assert decide("loop", "shop.test", STRANGER) is ALIAS_LOOP
    assert decide("x", "sub.shop.test", STRANGER) is RELAY_DENIED


def test_the_bare_postmaster_where_only_the_backend_has_domains() -> None:
    names = FakeNames(users={"dan@shop.test"})
    one = router(names=names, domains=(), users=(), postmaster="dan")
    assert one.route("postmaster", "", STRANGER) == LocalRoute("dan@shop.test")


# --- who may send as whom ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("local", "domain", "allowed"),
    [
        ("alice", "example.org", True),
        ("Alice+news", "EXAMPLE.ORG", True),
        ("info", "example.org", True),
        ("both", "example.org", False),
        ("away", "example.org", False),
        ("anything", "example.net", True),  # its catch-all
        ("carol", "example.net", False),
        ("bob", "example.net", False),
        ("postmaster", "example.org", True),
        ("bob", "example.org", False),
        ("nobody", "example.org", False),
        ("alice", "far.test", False),
        ("alice", "corp.test", False),
        ("alice%corp.test", "example.org", False),
        ("", "", False),
    ],
)
def test_may_send(local: str, domain: str, allowed: bool) -> None:
    one = router(
        aliases={
            "info@example.org": ("alice@example.org",),
            "both@example.org": ("alice@example.org", "bob@example.org"),
            "away@example.org": ("alice@example.org", "alice@far.test"),
            "@example.net": ("alice@example.org",),
        }
    )
    assert one.may_send(Identity("alice@example.org"), local, domain) is allowed


def test_nobody_sends_whose_account_is_disabled() -> None:
    names = FakeNames(users={"dan@shop.test"}, senders={"dan@shop.test": ("@far.test",)})
    one, dan = router(names=names), Identity("dan@shop.test")
    assert one.may_send(dan, "dan", "shop.test")
    assert one.may_send(dan, "x", "far.test")
    names.off.add("dan@shop.test")
    assert not one.may_send(dan, "dan", "shop.test")
    assert not one.may_send(dan, "x", "far.test")


def test_a_local_part_that_names_a_host_behind_the_next_hop() -> None:
    """What only trusted clients may ask of a next hop, also when one of them has asked before."""
    r = router(route("corp.test", "192.0.2.25:25"))
    for local in ("user%far.test", "far.test!user", "user@far.test"):
        assert r.route(local, "corp.test", STRANGER) is RELAY_DENIED
        assert isinstance(r.route(local, "corp.test", FRIEND), RemoteRoute)
        assert isinstance(r.route(local, "corp.test", None), RemoteRoute)
        assert r.route(local, "corp.test", STRANGER) is RELAY_DENIED
        assert r.route(local, "example.org", STRANGER) is MAILBOX_UNKNOWN


@pytest.mark.parametrize("local", ["user%far.test", "far.test!user", "user@far.test", "user\uff20far.test"])
@pytest.mark.parametrize(
    "found",
    [
        router(aliases={"@example.org": ("@corp.test",)}),
        router(aliases={"@example.org": ("alice@example.org", "@corp.test")}),
        router(route("example.org", "inner.test:25"), unknown_users="create"),
    ],
    ids=["a catch-all", "a catch-all of several", "a route of users that are created"],
)
def test_a_next_hop_of_our_own_domain_is_told_no_host_by_strangers(found: Router, local: str) -> None:
    """Neither before nor after somebody who may has sent there."""
    assert found.route(local, "example.org", STRANGER) is RELAY_DENIED
    assert not isinstance(found.route(local, "example.org", FRIEND), Reply)
    assert found.route(local, "example.org", STRANGER) is RELAY_DENIED
    assert not isinstance(found.route("user", "example.org", STRANGER), Reply)


def test_an_alias_may_name_a_host() -> None:
    found = router(aliases={"a!b@example.org": ("her@far.test",), "c@example.org": ("c%inner@corp.test",)})
    assert not isinstance(found.route("a!b", "example.org", STRANGER), Reply)
    assert not isinstance(found.route("c", "example.org", STRANGER), Reply)


# --- the queue for other hosts ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "waits"),
    [
        (Recipient("x@far.test", ""), Recipient("x@far.test", "")),
        (
            Recipient("Alice+t@example.org", "alice@example.org", {"ORCPT": "x"}, "o@a.test", "b@a.test"),
            Recipient("Alice+t@example.org", "", {"ORCPT": "x"}, "o@a.test", "b@a.test"),
        ),
        (
            Recipient("postmaster", "alice@example.org"),
            Recipient("alice@example.org", "", None, None, "postmaster"),
        ),
        (
            Recipient("sales@example.org", "bob@example.org", None, None, "all@example.org"),
            Recipient("bob@example.org", "", None, None, "all@example.org"),
        ),
    ],
)
def test_a_recipient_here_who_waits_in_the_queue_is_found_again(given: Recipient, waits: Recipient) -> None:
    known = router()
    assert known.queued(given) == waits
    if given.mailbox:
        assert known.next_hop(waits.address) == LocalRoute(given.mailbox)
