"""From a hop to the hosts that are tried."""

import asyncio
from random import Random

import pytest

from fastsmtp.dns.base import Addresses
from fastsmtp.routing.route import Hop
from fastsmtp.transport.smtp.mx import Destination, Unroutable, literal, site_of, targets
from fastsmtp.transport.smtp.own import Own
from tests.fakes.resolver import FakeResolver

OURS = Own({"us.test"}, [("192.0.2.99", 25), ("127.0.0.1", 2525)])


def zone() -> FakeResolver:
    """far.test with two exchangers, and everything they need."""
    resolver = FakeResolver()
    resolver.mxs["far.test"] = [(10, "mx1.far.test"), (20, "mx2.far.test")]
    resolver.hosts = {
        "mx1.far.test": ["192.0.2.1", "2001:db8::1"],
        "mx2.far.test": ["192.0.2.2"],
        "us.test": ["192.0.2.9"],
    }
    return resolver


def find(
    resolver: FakeResolver, host: str, *, kind: str = "mx", port: int = 25, seed: int = 1, **options: int
) -> Destination:
    hop = Hop(kind=kind, host=host, port=port)  # type: ignore[arg-type]
    return asyncio.run(targets(hop, OURS, resolver=resolver, rng=Random(seed), **options))


def refusal(resolver: FakeResolver, host: str, *, kind: str = "mx", port: int = 25) -> tuple[str, str]:
    with pytest.raises(Unroutable) as caught:
        find(resolver, host, kind=kind, port=port)
    assert str(caught.value).isprintable()
    return caught.value.enhanced, str(caught.value)


def names(destination: Destination) -> list[str]:
    return [host.name for host in destination.hosts]


def test_mx_in_the_order_of_their_preference() -> None:
    found = find(zone(), "Far.test.")
    assert names(found) == ["mx1.far.test", "mx2.far.test"]
    assert found.hosts[0].addresses == Addresses(("2001:db8::1",), ("192.0.2.1",), False, "mx1.far.test")
    assert (found.hosts[0].port, found.hosts[0].preference, found.hosts[1].preference) == (25, 10, 20)
    assert (found.domain, found.site, found.mx, found.secure) == (
        "far.test",
        "mx1.far.test,mx2.far.test",
        True,
        False,
    )


def test_equals_come_in_an_order_of_chance() -> None:
    resolver = zone()
    resolver.mxs["far.test"] = [(10, f"mx{i}.far.test") for i in range(5)] + [(20, "last.far.test")]
    resolver.hosts.update({host: ["192.0.2.1"] for _, host in resolver.mxs["far.test"]})
    firsts = set()
    for seed in range(60):
        order = names(find(resolver, "far.test", seed=seed))
        assert order[-1] == "last.far.test"
        firsts.add(order[0])
    assert firsts == {f"mx{i}.far.test" for i in range(5)}


def test_secure_is_what_the_mx_records_are() -> None:
    resolver = zone()
    resolver.secure = {"far.test"}
    assert find(resolver, "far.test").secure


def test_without_mx_the_domain_is_the_host() -> None:
    resolver = zone()
    resolver.hosts["plain.test"] = ["192.0.2.5"]
    found = find(resolver, "plain.test")
    assert names(found) == ["plain.test"]
    assert (found.site, found.mx) == ("plain.test", True)


def test_a_domain_that_is_an_alias_shares_the_site_of_its_host() -> None:
    resolver = zone()
    resolver.aliases["www.test"] = "plain.test"
    resolver.hosts["plain.test"] = ["192.0.2.5"]
    resolver.mxs["www.test"] = []
    found = find(resolver, "www.test")
    assert (found.site, found.hosts[0].addresses.v4) == ("plain.test", ("192.0.2.5",))


def test_a_null_mx_takes_no_mail() -> None:
    resolver = zone()
    resolver.mxs["null.test"] = [(0, "")]
    resolver.hosts["null.test"] = ["192.0.2.5"]
    assert refusal(resolver, "null.test") == ("5.1.10", "null.test takes no mail: its MX is null")
    assert resolver.asked == ["mx null.test"]


def test_the_root_beside_other_mx_means_nothing() -> None:
    resolver = zone()
    resolver.mxs["far.test"].append((0, ""))
    assert names(find(resolver, "far.test")) == ["mx1.far.test", "mx2.far.test"]


@pytest.mark.parametrize(
    ("ours", "left"),
    [
        (5, []),
        (10, []),
        (15, ["mx1.far.test"]),
        (20, ["mx1.far.test"]),
        (30, ["mx1.far.test", "mx2.far.test"]),
    ],
)
def test_this_server_among_the_mx(ours: int, left: list[str]) -> None:
    resolver = zone()
    resolver.mxs["far.test"].append((ours, "us.test"))
    if left:
        assert names(find(resolver, "far.test")) == left
    else:
        assert refusal(resolver, "far.test")[0] == "5.4.6"


def test_the_site_does_not_depend_on_who_is_left() -> None:
    resolver = zone()
    resolver.mxs["far.test"].append((15, "us.test"))
    assert find(resolver, "far.test").site == "mx1.far.test,mx2.far.test,us.test"


def test_this_server_without_mx() -> None:
    resolver = zone()
    resolver.mxs["us.test"] = []
    assert refusal(resolver, "us.test")[0] == "5.4.6"
    resolver.aliases["www.us.test"] = "us.test"
    resolver.mxs["www.us.test"] = []
    assert refusal(resolver, "www.us.test")[0] == "5.4.6"


def test_what_does_not_exist() -> None:
    resolver = zone()
    assert refusal(resolver, "no.test") == ("5.1.2", "no.test: there is no such domain")
    resolver.mxs["bare.test"] = []
    resolver.hosts["bare.test"] = []
    assert refusal(resolver, "bare.test") == ("5.4.4", "bare.test has no address to connect to")
    resolver.mxs["dead.test"] = [(10, "gone.test"), (20, "bare.test")]
    status, text = refusal(resolver, "dead.test")
    assert status == "5.4.4"
    assert text == "dead.test: no MX host has an address: gone.test: there is no such host, and 1 more"


def test_mx_that_name_no_host() -> None:
    resolver = zone()
    resolver.unusable["odd.test"] = 2
    resolver.hosts["odd.test"] = ["192.0.2.5"]
    assert refusal(resolver, "odd.test") == ("5.4.4", "odd.test: none of its MX records names a host")


def test_failure_of_the_dns_is_temporary() -> None:
    resolver = zone()
    resolver.failing = {"far.test"}
    assert refusal(resolver, "far.test")[0] == "4.4.3"
    resolver.failing = {"mx1.far.test"}
    assert names(find(resolver, "far.test")) == ["mx2.far.test"]
    del resolver.hosts["mx2.far.test"]
    assert refusal(resolver, "far.test")[0] == "4.4.3"


def test_no_more_hosts_than_wanted_are_looked_up() -> None:
    resolver = zone()
    resolver.mxs["far.test"] = [(i, f"mx{i}.far.test") for i in range(50)]
    resolver.hosts.update({host: ["192.0.2.1"] for _, host in resolver.mxs["far.test"]})
    assert names(find(resolver, "far.test", most=3)) == ["mx0.far.test", "mx1.far.test", "mx2.far.test"]
    assert len(resolver.asked) == 4


def test_a_host_that_stands_twice_is_tried_once() -> None:
    resolver = zone()
    resolver.mxs["far.test"] = [(30, "mx1.far.test"), (10, "mx1.far.test"), (20, "mx2.far.test")]
    assert names(find(resolver, "far.test")) == ["mx1.far.test", "mx2.far.test"]


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1"])
def test_addresses_no_host_can_have(address: str) -> None:
    resolver = zone()
    resolver.hosts["mx1.far.test"] = [address]
    assert names(find(resolver, "far.test")) == ["mx2.far.test"]
    assert refusal(resolver, f"[{address}]")[0] == "5.1.2"


@pytest.mark.parametrize(
    ("host", "address"),
    [("[192.0.2.1]", "192.0.2.1"), ("[IPv6:2001:DB8::1]", "2001:db8::1"), ("[ipv6:::1]", "::1")],
)
def test_address_literals(host: str, address: str) -> None:
    resolver = zone()
    found = find(resolver, host)
    addresses = found.hosts[0].addresses
    assert (*addresses.v6, *addresses.v4) == (address,)
    assert (found.site, found.domain, found.secure) == (f"[{address}]:25", f"[{address}]", False)
    assert resolver.asked == []


@pytest.mark.parametrize("host", ["[300.1.1.1]", "[x]", "a b.test", "", "\x1b[2J.test", "x" * 5000])
def test_what_is_no_domain(host: str) -> None:
    status, text = refusal(zone(), host)
    assert status == "5.1.2"
    assert len(text) < 200


def test_smtp_and_lmtp_hops() -> None:
    resolver = zone()
    for kind in ("smtp", "lmtp"):
        found = find(resolver, "mx1.far.test", kind=kind, port=2525)
        assert (names(found), found.hosts[0].port, found.site) == (
            ["mx1.far.test"],
            2525,
            "mx1.far.test:2525",
        )
        assert (found.mx, found.secure) == (False, True)
        found = find(resolver, "127.0.0.1", kind=kind, port=24)
        assert (found.site, found.hosts[0].addresses.v4, found.secure) == (
            "[127.0.0.1]:24",
            ("127.0.0.1",),
            True,
        )
        assert find(resolver, "::1", kind=kind, port=24).site == "[::1]:24"
    assert "mx mx1.far.test" not in resolver.asked


def test_hops_that_lead_nowhere() -> None:
    resolver = zone()
    assert refusal(resolver, "no.test", kind="smtp") == ("5.1.2", "no.test: there is no such host")
    resolver.failing = {"mx1.far.test"}
    assert refusal(resolver, "mx1.far.test", kind="smtp")[0] == "4.4.3"


def test_the_name_of_a_site() -> None:
    assert site_of(["b.test", "a.test", "b.test"]) == "a.test,b.test"
    assert site_of(["a.test"], 2525) == "a.test:2525"
    many = [f"mx{i}.a-provider-with-a-long-name.test" for i in range(30)]
    name = site_of(many)
    assert name.startswith("mx0.a-provider-with-a-long-name.test,29 more #")
    assert len(name) < 100
    assert site_of(reversed(many)) == name  # type: ignore[arg-type]
    assert site_of(many[:-1]) != name


def test_what_is_no_literal() -> None:
    assert literal("far.test") is None
    assert literal("[IPv6:192.0.2.1.5]") is None


# --- addresses at which this server listens ------------------------------------------------------------------------


def test_an_exchanger_at_our_address_is_this_server() -> None:
    resolver = zone()
    resolver.hosts["mx2.far.test"] = ["192.0.2.99", "192.0.2.2"]
    resolver.mxs["far.test"] += [(20, "mx3.far.test"), (30, "mx4.far.test")]
    resolver.hosts |= {"mx3.far.test": ["192.0.2.3"], "mx4.far.test": ["192.0.2.4"]}
    found = find(resolver, "far.test")
    assert names(found) == ["mx1.far.test"], "those that are not closer are left out, as by name"
    assert found.site == "mx1.far.test,mx2.far.test,mx3.far.test,mx4.far.test"


@pytest.mark.parametrize("mxs", [[], [(10, "mx1.far.test")]])
def test_a_domain_whose_best_exchanger_is_at_our_address(mxs: list[tuple[int, str]]) -> None:
    resolver = zone()
    resolver.mxs["far.test"] = mxs
    resolver.hosts |= {"far.test": ["192.0.2.99"], "mx1.far.test": ["192.0.2.99"]}
    status, why = refusal(resolver, "far.test")
    assert status == "5.4.6"
    assert "ends here by its MX" in why


@pytest.mark.parametrize("kind", ["smtp", "lmtp"])
@pytest.mark.parametrize("host", ["127.0.0.1", "here.test", "::ffff:127.0.0.1"])
def test_a_route_that_leads_back(kind: str, host: str) -> None:
    resolver = zone()
    resolver.hosts["here.test"] = ["127.0.0.1"]
    status, why = refusal(resolver, host, kind=kind, port=2525)
    assert status == "5.4.6"
    assert why.endswith(":2525 is this server itself: mail would go in a circle")
    assert find(resolver, host, kind=kind, port=2502).hosts[0].port == 2502, "another port is another server"
