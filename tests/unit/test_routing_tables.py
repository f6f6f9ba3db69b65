"""What the settings come to together: precedence, expansion, and what is wrong with them."""

from typing import Any

import pytest

from fastsmtp.config.errors import SettingsError
from fastsmtp.mail.reply import ALIAS_LOOP, ALIAS_TOO_LARGE, MAILBOX_UNKNOWN, Reply
from fastsmtp.routing.addresses import split
from fastsmtp.routing.aliases import AliasTable
from fastsmtp.routing.relay import Recipients
from fastsmtp.routing.route import Expansion, Hop, LocalRoute, RemoteRoute, Target
from fastsmtp.routing.settings import CredentialSettings
from fastsmtp.routing.tables import DEEPEST, RoutingTables
from tests.fakes.routing import route, tables


def host(name: str, text: str, port: int = 25) -> RemoteRoute:
    return RemoteRoute((Hop("smtp", name, port),), text)


def local(address: str) -> Target:
    return Target(address, address)


# --- routes ---------------------------------------------------------------------------------------


def test_precedence_elsewhere() -> None:
    made = tables(
        route("*", "any.test:25"),
        route("*.far.test", "below.test:25"),
        route("far.test", "domain.test:25"),
        route("dora@far.test", "dora.test:25"),
    )
    place = made.place
    assert place("Dora", "far.test") == host("dora.test", "dora@far.test")
    assert place("dora+x", "far.test") == host("domain.test", "far.test")  # what + means is theirs to say
    assert place("emil", "FAR.test") == host("domain.test", "far.test")
    assert place("emil", "a.b.far.test") == host("below.test", "*.far.test")
    assert place("emil", "near.test") == host("any.test", "*")
    assert place("emil", "[192.0.2.1]") == host("any.test", "*")


def test_a_user_in_all_domains_that_are_served_here() -> None:
    """A smarthost's customer who writes to alice@gmail.test does not mean our alice."""
    made = tables(route("alice@*", "lists.test:25"), route("corp.test", "corp-mx.test:25"))
    for domain in ("example.org", "example.net", "corp.test", "a.below.test"):
        assert made.place("Alice", domain) == host("lists.test", "alice@*")
    assert made.place("alice+x", "example.org") == host("lists.test", "alice@*")
    assert made.place("alice", "gmail.test") == RemoteRoute((Hop("mx", "gmail.test", 25),), "*")


def test_ours_stays_here_unless_named() -> None:
    """A default for all other mail does not take away our own."""
    made = tables(route("*", "smarthost.test:587"), route("*.org", "org.test:25"))
    assert made.place("alice", "example.org") == LocalRoute("alice@example.org")
    assert made.place("nobody", "example.org") is MAILBOX_UNKNOWN


def test_ours_may_lie_on_another_host() -> None:
    made = tables(
        route("example.org", "lmtp:127.0.0.1:24"),
        route("bob@example.org", "local"),
        route("new@example.org", "new.test:25"),
    )
    assert made.place("alice", "example.org") == RemoteRoute((Hop("lmtp", "127.0.0.1", 24),), "example.org")
    assert made.place("nobody", "example.org") is MAILBOX_UNKNOWN
    assert made.place("bob+x", "example.org") == LocalRoute("bob@example.org")
    # a route for one address is a recipient
    assert made.place("new+x", "example.org") == host("new.test", "new@example.org")
    assert made.place("alice", "example.net") == LocalRoute("alice@example.net")


def test_an_address_to_stay_that_nobody_has() -> None:
    assert tables(route("nobody@example.org", "local")).place("nobody", "example.org") is MAILBOX_UNKNOWN


def test_refused_by_a_route() -> None:
    made = tables(route("bob@example.org", "reject:moved away"), route("*.bad.test", "reject:not from here"))
    assert made.place("bob", "example.org") == Reply(550, "7.1", "moved away")
    assert made.place("x", "a.bad.test") == Reply(550, "7.1", "not from here")


def test_several_hosts_and_mx() -> None:
    made = tables(route("far.test", "a.test:25", "mx", "mx:b.test"))
    assert made.place("x", "far.test") == RemoteRoute(
        (Hop("smtp", "a.test", 25), Hop("mx", "far.test", 25), Hop("mx", "b.test", 25)), "far.test"
    )
    literal = tables(route("*", "mx", tls="encrypt")).place("x", "[192.0.2.1]")
    assert literal == RemoteRoute((Hop("smtp", "192.0.2.1", 25, None, "encrypt"),), "*")


def test_a_route_for_an_unlisted_recipient() -> None:
    made = tables(route("emil@corp.test", "e.test:25"), recipients=Recipients({("dora", "corp.test")}, set()))
    assert made.place("emil", "corp.test") == host("e.test", "emil@corp.test")
    assert made.place("frida", "corp.test") is MAILBOX_UNKNOWN
    assert made.place("frida", "corp.test", given=True) == RemoteRoute((Hop("mx", "corp.test", 25),), "*")


# --- aliases --------------------------------------------------------------------------------------


def expanded(made: RoutingTables, address: str) -> Any:
    found = made.resolve(*split(address))
    return found.targets if isinstance(found, Expansion) else found


def test_an_alias_comes_before_the_mailbox() -> None:
    made = tables(aliases={"alice@example.org": ["bob@example.org"]})
    assert expanded(made, "alice@example.org") == (local("bob@example.org"),)
    assert expanded(made, "alice@example.net") == LocalRoute("alice@example.net")


def test_an_alias_that_names_itself_keeps_a_copy() -> None:
    made = tables(aliases={"alice@example.org": ["Alice@example.org", "dora@far.test"]})
    for address in ("alice@example.org", "ALICE+x@example.org"):
        assert expanded(made, address) == (
            Target("Alice@example.org", "alice@example.org"),
            Target("dora@far.test", ""),
        )


def test_a_tag_of_its_own() -> None:
    made = tables(
        aliases={"alice@example.org": ["alice+kept@example.org"], "bob+x@example.org": ["carol@example.net"]}
    )
    assert expanded(made, "alice@example.org") == (Target("alice+kept@example.org", "alice@example.org"),)
    assert expanded(made, "bob+x@example.org") == (local("carol@example.net"),)
    assert expanded(made, "bob+y@example.org") == LocalRoute("bob@example.org")


def test_everybody_once() -> None:
    made = tables(
        aliases={
            "all@example.org": ["some@example.org", "alice@example.org", "Dora@far.test", "dora@FAR.test"],
            "some@example.org": [
                "Alice+x@example.org",
                "bob@example.org",
                "rest@example.org",
                "dora@far.test",
            ],
            "rest@example.org": ["bob@example.org", "some@example.net"],
            "some@example.net": ["bob@example.net"],
        }
    )
    assert expanded(made, "all@example.org") == (
        Target("Alice+x@example.org", "alice@example.org"),
        local("bob@example.org"),
        local("bob@example.net"),
        Target("dora@far.test", ""),
        Target("Dora@far.test", ""),  # elsewhere these may be two
    )


def test_catch_all() -> None:
    made = tables(
        aliases={
            "@example.org": ["alice@example.org"],
            "@old.test": ["@example.net", "archive@far.test"],
            "@corp.test": ["dora@corp.test"],
        },
        domains=("example.org", "example.net", "old.test"),
        users=("alice", "carol@example.net"),
        recipients=Recipients({("dora", "corp.test")}, set()),
    )
    assert expanded(made, "nobody@example.org") == (local("alice@example.org"),)
    assert expanded(made, "alice@example.org") == LocalRoute("alice@example.org")
    assert expanded(made, "Carol@old.test") == (
        Target("Carol@example.net", "carol@example.net"),
        Target("archive@far.test", ""),
    )
    assert expanded(made, "nobody@old.test") is MAILBOX_UNKNOWN
    assert expanded(made, "dora@corp.test") == RemoteRoute((Hop("mx", "corp.test", 25),), "*")
    assert expanded(made, "emil@corp.test") == (Target("dora@corp.test", ""),)


def test_a_catch_all_to_nobody() -> None:
    made = RoutingTables(
        tables().directory, domains=("example.org",), aliases=AliasTable({"@example.org": ["x@example.org"]})
    )
    assert expanded(made, "y@example.org") is MAILBOX_UNKNOWN
    assert expanded(made, "x@example.org") is MAILBOX_UNKNOWN


def test_postmaster_s_user_may_have_an_alias() -> None:
    made = tables(aliases={"alice@example.org": ["dora@far.test"]})
    assert made.canonical("Postmaster", "") == ("postmaster", "example.org")
    for address in ("postmaster@example.org", "postmaster@"):
        assert expanded(made, address) == (Target("dora@far.test", ""),)
    assert expanded(made, "postmaster@example.net") == LocalRoute("alice@example.net")
    kept = tables(aliases={"alice@example.org": ["postmaster@example.org", "bob@example.org"]})
    assert expanded(kept, "alice@example.org") == (local("alice@example.org"), local("bob@example.org"))


def test_the_nearest_owner_counts() -> None:
    made = tables(
        aliases={
            "all@example.org": ["team@example.org", "alice@example.org", "dora@far.test"],
            "owner-all@example.org": ["alice@example.org"],
            "team@example.org": ["bob@example.org", "emil@far.test"],
            "owner-team@example.org": ["bob@example.org"],
            "both@example.org": ["team@example.org", "alice@example.org"],
        }
    )
    assert [(one.address, one.owner) for one in expanded(made, "all@example.org")] == [
        ("bob@example.org", "owner-team@example.org"),
        ("emil@far.test", "owner-team@example.org"),
        ("alice@example.org", "owner-all@example.org"),
        ("dora@far.test", "owner-all@example.org"),
    ]
    assert [one.owner for one in expanded(made, "both@example.org")] == [
        "owner-team@example.org",
        "owner-team@example.org",
        None,
    ]


def test_one_refusal_refuses_all() -> None:
    made = RoutingTables(
        tables().directory,
        domains=("example.org",),
        aliases=AliasTable({"team@example.org": ["alice@example.org", "nobody@example.org"]}),
    )
    assert expanded(made, "team@example.org") is MAILBOX_UNKNOWN


def chain(length: int) -> dict[str, list[str]]:
    links = {f"a{i}@example.org": [f"a{i + 1}@example.org"] for i in range(length - 1)}
    return {**links, f"a{length - 1}@example.org": ["alice@example.org"]}


def test_depth_is_bounded() -> None:
    assert expanded(tables(aliases=chain(DEEPEST)), "a0@example.org") == (local("alice@example.org"),)
    deeper = RoutingTables(tables().directory, aliases=AliasTable(chain(DEEPEST + 1)))
    assert expanded(deeper, "a0@example.org") is ALIAS_LOOP
    assert (
        expanded(RoutingTables(tables().directory, aliases=AliasTable(chain(5000))), "a0@example.org")
        is ALIAS_LOOP
    )


def test_size_is_bounded() -> None:
    members = {"all@example.org": [f"m{i}@far.test" for i in range(11)]}
    assert len(expanded(tables(aliases=members, expansion=11), "all@example.org")) == 11
    made = RoutingTables(tables().directory, aliases=AliasTable(members), expansion=10)
    assert expanded(made, "all@example.org") is ALIAS_TOO_LARGE


def test_a_list_of_lists_of_lists_is_followed_once_each() -> None:
    """Twenty levels of ten lists each, all naming all of the next: 10^20 ways, 200 lists."""
    levels = {
        f"l{level}n{i}@example.org": [f"l{level + 1}n{j}@example.org" for j in range(10)]
        for level in range(20)
        for i in range(10)
    }
    last = {f"l20n{i}@example.org": ["alice@example.org"] for i in range(10)}
    assert expanded(tables(aliases={**levels, **last}), "l0n0@example.org") == (local("alice@example.org"),)


# --- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("aliases", "problems"),
    [
        (
            {"a@example.org": ["b@example.org"], "b@example.org": ["a@example.org"]},
            [
                'aliases."a@example.org": this alias goes in circles, or through more than 32 aliases',
                'aliases."b@example.org": this alias goes in circles, or through more than 32 aliases',
            ],
        ),
        (
            {"@example.org": ["@example.net"], "@example.net": ["@example.org"]},
            [
                'aliases."@example.org": this alias goes in circles, or through more than 32 aliases',
                'aliases."@example.net": this alias goes in circles, or through more than 32 aliases',
            ],
        ),
        (
            {"a@example.org": ["alice@example.org", "nobody@example.org"]},
            ['aliases."a@example.org": nobody@example.org: no such mailbox here'],
        ),
        (
            {"x@example.org": ["x@example.org"]},
            ['aliases."x@example.org": x@example.org: no such mailbox here'],
        ),
        (
            {"@example.org": ["@example.net", "nobody@example.org"]},
            ['aliases."@example.org": nobody@example.org: no such mailbox here'],
        ),
        (
            {"a@far.test": ["alice@example.org"]},
            ['aliases."a@far.test": "far.test" is neither in mailboxes.domains nor in relay.domains'],
        ),
        (
            {"a@example.org": ["b@far.test", "c@far.test", "d@far.test", "e@far.test"]},
            [
                'aliases."a@example.org": this alias stands for too many recipients, '
                "more than forwarding.expansion = 3"
            ],
        ),
    ],
)
def test_bad_aliases(aliases: dict[str, list[str]], problems: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        tables(aliases=aliases, expansion=3)
    assert list(caught.value.problems) == problems


def test_an_alias_may_name_who_is_not_on_the_list() -> None:
    """The list changes while the server runs; what stands in the settings is not for it to break."""
    made = tables(aliases={"a@example.org": ["emil@corp.test"]}, recipients=Recipients(set(), set()))
    assert expanded(made, "a@example.org") == (Target("emil@corp.test", ""),)


@pytest.mark.parametrize(
    ("more", "problems"),
    [
        (
            {"routes": [route("far.test", "local"), route("*", "local"), route("x@*", "local")]},
            [
                f'routes[{i}].to: "local" is for addresses and domains of mailboxes.domains, not for "{text}"'
                for i, text in enumerate(["far.test", "*", "x@*"])
            ],
        ),
        (
            {"routes": [route("far.test", "h.test:25", credentials="a b")]},
            ['routes[0].credentials: there is no [credentials."a b"] table'],
        ),
        (
            {"routes": [route("far.test", "mx"), route("FAR.test", "mx")], "aliases": {"x": ["a@b.test"]}},
            [
                'routes[1].match: "FAR.test" is that of routes[0] too',
                'aliases.x: expected "user@domain" or "@domain", got "x"',
            ],
        ),
        ({"relay": ("Example.org",)}, ['relay.domains[0]: "Example.org" is in mailboxes.domains too']),
        ({"relay": (), "verify": True}, ["relay.recipients: of no use without relay.domains"]),
    ],
)
def test_bad_together(more: dict[str, Any], problems: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        tables(*more.pop("routes", ()), **more)
    assert list(caught.value.problems) == problems


def test_credentials_that_are_there() -> None:
    login = CredentialSettings(user="u", password="p")
    made = tables(route("far.test", "h.test:25", credentials="c"), credentials={"c": login})
    assert made.place("x", "far.test") == RemoteRoute((Hop("smtp", "h.test", 25, "c", "verify"),), "far.test")
