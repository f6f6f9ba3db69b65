"""From hops to a place: look-ups, policies, credentials, and what leads nowhere."""

import asyncio
from random import Random
from typing import Any

import pytest

from fastsmtp.routing.credentials import Credential
from fastsmtp.routing.route import Hop
from fastsmtp.transport.smtp.guide import Guide
from fastsmtp.transport.smtp.mx import Unroutable
from fastsmtp.transport.smtp.own import Own
from fastsmtp.transport.smtp.place import Place
from fastsmtp.transport.smtp.policy import Policies
from fastsmtp.transport.smtp.tls_report import TlsReport
from fastsmtp.transport.smtp.tls_settings import TlsPolicySettings
from tests.fakes.resolver import FakeResolver

MX = Hop("mx", "far.test", 25)
HOST = Hop("smtp", "smart.test", 587, "login", "verify")
KNOWN = {"login": Credential("me", "secret")}


@pytest.fixture
def resolver() -> FakeResolver:
    fake = FakeResolver()
    fake.mxs["far.test"] = [(10, "a.far.test"), (20, "b.far.test")]
    fake.hosts["a.far.test"] = ["192.0.2.1", "2001:db8::1"]
    fake.hosts["b.far.test"] = ["192.0.2.2"]
    fake.hosts["smart.test"] = ["192.0.2.3"]
    return fake


def place(resolver: FakeResolver, *hops: Hop, **more: Any) -> Place:
    policies = Policies(TlsPolicySettings(), resolver, None, TlsReport())
    guide = Guide(Own({"mx.near.test"}), resolver=resolver, policies=policies, rng=Random(1))
    return asyncio.run(guide.place(hops, KNOWN, **more))


def test_the_hosts_of_a_domain(resolver: FakeResolver) -> None:
    found = place(resolver, MX)
    assert found.site == "a.far.test,b.far.test"
    assert [one.host.name for one in found.targets] == ["a.far.test", "b.far.test"]
    assert [one.needs.level for one in found.targets] == ["may", "may"]
    assert not any(one.lmtp or one.implicit or one.account for one in found.targets)


def test_hops_in_order_of_preference(resolver: FakeResolver) -> None:
    lmtp = Hop("lmtp", "192.0.2.9", 24)
    found = place(resolver, HOST, lmtp, MX)
    assert found.site == "smart.test:587 or [192.0.2.9]:24 or a.far.test,b.far.test"
    assert [one.lmtp for one in found.targets] == [False, True, False, False]
    first = found.targets[0]
    assert (first.account, first.needs.level, first.needs.names) == ("login", "verify", ("smart.test",))
    assert first.credentials is not None
    assert (first.credentials.user, first.credentials.password) == ("me", "secret")
    assert found.targets[1].credentials is None


def test_tls_comes_first_on_its_port(resolver: FakeResolver) -> None:
    assert place(resolver, Hop("smtp", "smart.test", 465)).targets[0].implicit
    assert not place(resolver, Hop("lmtp", "smart.test", 465)).targets[0].implicit


def test_requiretls(resolver: FakeResolver) -> None:
    (first, _) = place(resolver, MX, requiretls=True).targets
    assert first.needs.refused


def test_a_hop_that_leads_nowhere_is_passed_over(resolver: FakeResolver) -> None:
    assert place(resolver, Hop("mx", "no.test", 25), HOST).site == "smart.test:587"


@pytest.mark.parametrize(
    ("hops", "enhanced"),
    [
        ([Hop("mx", "no.test", 25)], "5.1.2"),
        ([Hop("mx", "no.test", 25), Hop("mx", "broken.test", 25)], "4.4.3"),
        ([Hop("smtp", "smart.test", 25, "other", "verify")], "4.3.5"),
        ([], "5.4.4"),
    ],
)
def test_nowhere(hops: list[Hop], enhanced: str, resolver: FakeResolver) -> None:
    resolver.failing.add("broken.test")
    with pytest.raises(Unroutable) as caught:
        place(resolver, *hops)
    assert caught.value.enhanced == enhanced


def test_the_name_of_a_site_is_bounded(resolver: FakeResolver) -> None:
    names = [f"host{number}.test" for number in range(60)]
    resolver.hosts |= {name: ["192.0.2.1"] for name in names}
    one = place(resolver, *(Hop("smtp", name, 25) for name in names))
    other = place(resolver, *(Hop("smtp", name, 25) for name in names[:-1]))
    assert len(one.site) < 230
    assert one.site != other.site
