"""What is asked of TLS, and who says so."""

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fastsmtp.dns.base import Tlsa
from fastsmtp.routing.route import Hop
from fastsmtp.transport.smtp.mta_sts import FetchError, PolicyFiles, StsPolicies
from fastsmtp.transport.smtp.mx import targets
from fastsmtp.transport.smtp.own import Own
from fastsmtp.transport.smtp.policy import Policies, Protection
from fastsmtp.transport.smtp.tls_report import Failure, TlsReport
from fastsmtp.transport.smtp.tls_settings import TlsPolicySettings
from tests.fakes.clock import FakeClock
from tests.fakes.resolver import FakeResolver

END_ENTITY = Tlsa(3, 1, 1, b"\x01" * 32)
ANCHOR = Tlsa(2, 1, 1, b"\x02" * 32)
USELESS = Tlsa(1, 1, 1, b"\x03" * 32)


class World:
    """far.test with one exchanger, whatever the test adds, and the policies over it."""

    def __init__(self, directory: Path, settings: TlsPolicySettings | None = None, **options: Any) -> None:
        self.resolver = FakeResolver()
        self.resolver.mxs["far.test"] = [(10, "mx.far.test")]
        self.resolver.hosts["mx.far.test"] = ["192.0.2.1"]
        clock = FakeClock()
        self.told: list[str] = []
        self.report = TlsReport(clock, self.told.append)
        self.sts = ""
        files = PolicyFiles(directory / "mta-sts", clock)
        files.open()
        self.policies = Policies(
            settings or TlsPolicySettings(),
            self.resolver,
            StsPolicies(self.resolver, self, files, self.report, clock),
            self.report,
            **options,
        )

    async def fetch(self, url: str) -> bytes:
        """See `Fetcher.fetch`."""
        if not self.sts:
            raise FetchError("sts-policy-fetch-error", "none")
        return self.sts.encode()

    def signed(self, *records: Tlsa, of: str = "mx.far.test") -> None:
        """Let everything on the way to ``records`` be vouched for."""
        name = f"_25._tcp.{of}"
        self.resolver.tlsas[name] = list(records)
        self.resolver.secure |= {"far.test", "mx.far.test", name}

    def publish(self, mode: str, *mx: str) -> None:
        """Let far.test have an MTA-STS policy."""
        self.resolver.txts["_mta-sts.far.test"] = [b"v=STSv1; id=1;"]
        lines = ["version: STSv1", f"mode: {mode}", "max_age: 86400", *(f"mx: {one}" for one in mx)]
        self.sts = "\r\n".join(lines) + "\r\n"

    def of(self, hop: Hop | None = None, **options: Any) -> Protection:
        """What the first host of ``hop`` has to prove."""
        chosen = hop or Hop(kind="mx", host="far.test", port=25)

        async def run() -> Protection:
            found = await targets(chosen, Own(), resolver=self.resolver, rng=Random(1))
            return await self.policies.of(chosen, found, found.hosts[0], **options)

        return asyncio.run(run())

    def failures(self) -> list[tuple[str, str, Failure]]:
        """What was counted."""
        return [(t.domain, t.policy, kind) for t in self.report.snapshot() for kind, _ in t.failures]


def test_without_any_word_tls_is_taken_where_it_is_offered(tmp_path: Path) -> None:
    found = World(tmp_path).of()
    assert found == Protection(
        level="may", reason="[tls_policy] default", domain="far.test", sni="mx.far.test"
    )


@pytest.mark.parametrize(
    ("domain", "level", "key"),
    [
        ("far.test", "encrypt", '"far.test"'),
        ("a.far.test", "verify", '"*.far.test"'),
        ("b.a.far.test", "verify", '"*.far.test"'),
        ("x.none.far.test", "none", '"*.none.far.test"'),
        ("other.test", "may", "default"),
    ],
)
def test_the_settings_for_a_domain(tmp_path: Path, domain: str, level: str, key: str) -> None:
    settings = TlsPolicySettings(
        default="may",
        domains={"Far.test": "encrypt", "*.far.test": "verify", "*.none.far.test": "none"},
    )
    world = World(tmp_path, settings)
    world.resolver.mxs[domain] = [(10, "mx.far.test")]
    found = world.of(Hop(kind="mx", host=domain, port=25))
    assert found.level == level
    assert key in found.reason
    assert found.names == (("mx.far.test",) if level == "verify" else ())
    assert not any(question.startswith(("tlsa", "txt")) for question in world.resolver.asked)


def test_the_route_goes_before_the_settings(tmp_path: Path) -> None:
    world = World(tmp_path, TlsPolicySettings(domains={"far.test": "none"}))
    found = world.of(Hop(kind="mx", host="far.test", port=25, tls="verify"))
    assert (found.level, found.reason) == ("verify", "the route")


def test_dane(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.signed(END_ENTITY, ANCHOR, USELESS)
    assert world.of() == Protection(
        level="dane",
        reason="TLSA records of mx.far.test",
        domain="far.test",
        policy="tlsa",
        names=("mx.far.test", "far.test"),
        sni="mx.far.test",
        tlsa=(END_ENTITY, ANCHOR),
        asserted=True,
    )


@pytest.mark.parametrize("missing", ["far.test", "mx.far.test", "_25._tcp.mx.far.test"])
def test_dane_needs_every_answer_on_the_way_vouched_for(tmp_path: Path, missing: str) -> None:
    world = World(tmp_path)
    world.signed(END_ENTITY)
    world.resolver.secure.discard(missing)
    found = world.of()
    assert (found.level, found.tlsa) == ("may", ())


def test_tlsa_records_that_nobody_can_use_still_mean_tls(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.signed(USELESS)
    found = world.of()
    assert (found.level, found.policy, found.refused) == ("encrypt", "tlsa", "")
    assert world.failures() == [("far.test", "tlsa", Failure("tlsa-invalid", "mx.far.test"))]


def test_a_host_whose_tlsa_records_cannot_be_had_is_left_alone(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.signed(END_ENTITY)
    world.resolver.failing = {"_25._tcp.mx.far.test"}
    found = world.of()
    assert (found.enhanced, found.refused) == ("4.4.3", "DNS: _25._tcp.mx.far.test: SERVFAIL")
    assert world.failures() == [("far.test", "tlsa", Failure("dnssec-invalid", "mx.far.test"))]


def test_a_host_that_is_an_alias(tmp_path: Path) -> None:
    """RFC 7672 §2.2.2: the end of the aliases first, then the name itself."""
    world = World(tmp_path)
    world.resolver.aliases["mx.far.test"] = "real.test"
    world.resolver.hosts = {"real.test": ["192.0.2.1"]}
    world.signed(END_ENTITY)
    assert world.of().sni == "mx.far.test"
    world.signed(ANCHOR, of="real.test")
    found = world.of()
    assert (found.sni, found.names, found.tlsa) == (
        "real.test",
        ("real.test", "mx.far.test", "far.test"),
        (ANCHOR,),
    )


def test_dane_for_a_host_of_the_settings(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.resolver.secure = {"mx.far.test", "_587._tcp.mx.far.test"}
    world.resolver.tlsas["_587._tcp.mx.far.test"] = [END_ENTITY]
    found = world.of(Hop(kind="smtp", host="mx.far.test", port=587))
    assert (found.level, found.names) == ("dane", ("mx.far.test",))


def test_dane_only(tmp_path: Path) -> None:
    world = World(tmp_path, TlsPolicySettings(default="dane-only"))
    world.publish("enforce", "mx.far.test")
    found = world.of()
    assert (found.enhanced, found.refused) == (
        "4.7.5",
        "[tls_policy] default asks for DANE; mx.far.test has none",
    )
    assert ("far.test", "no-policy-found", Failure("dane-required", "mx.far.test")) in world.failures()
    world.signed(END_ENTITY)
    assert (world.of().level, world.of().refused) == ("dane", "")
    assert not world.of().asserted, "it is the settings that ask for it"


def test_mta_sts(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish("enforce", "*.far.test")
    assert world.of() == Protection(
        level="verify",
        reason="the domain's MTA-STS policy",
        domain="far.test",
        policy="sts",
        names=("mx.far.test",),
        sni="mx.far.test",
        asserted=True,
    )
    assert not world.of(requiretls=True).asserted


def test_a_host_that_is_not_in_the_mta_sts_policy(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish("enforce", "mx.other.test")
    found = world.of()
    assert found.enhanced == "4.7.5"
    assert found.refused == "mx.far.test is not among the hosts of far.test's MTA-STS policy"
    assert world.failures() == [("far.test", "sts", Failure("validation-failure", "mx.far.test"))]


def test_a_policy_in_testing_only_counts_and_tells(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish("testing", "mx.other.test")
    found = world.of()
    assert (found.level, found.refused, found.policy, found.testing) == ("may", "", "sts", False)
    assert len(world.told) == 1
    assert "would refuse mx.far.test: mx.far.test is not among the hosts" in world.told[0]
    assert world.failures() == [("far.test", "sts", Failure("validation-failure", "mx.far.test"))]


def test_the_certificates_of_a_policy_in_testing_are_looked_at(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish("testing", "mx.far.test")
    found = world.of()
    assert (found.level, found.testing, found.names) == ("may", True, ("mx.far.test",))
    assert world.told == []


def test_dane_goes_before_mta_sts(tmp_path: Path) -> None:
    """RFC 8461 §2."""
    world = World(tmp_path)
    world.publish("enforce", "mx.other.test")
    world.signed(END_ENTITY)
    assert (world.of().level, world.of().refused) == ("dane", "")
    assert "txt _mta-sts.far.test" not in world.resolver.asked


def test_mta_sts_can_be_left_out(tmp_path: Path) -> None:
    world = World(tmp_path, TlsPolicySettings(mta_sts=False))
    world.publish("enforce", "mx.far.test")
    assert world.of().level == "may"


def test_mta_sts_is_not_asked_of_hosts_of_the_settings(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish("enforce", "mx.far.test")
    world.of(Hop(kind="smtp", host="mx.far.test", port=25))
    assert not any(question.startswith("txt") for question in world.resolver.asked)


def test_an_address_has_no_name_to_ask_for(tmp_path: Path) -> None:
    found = World(tmp_path).of(Hop(kind="smtp", host="192.0.2.1", port=25, tls="verify"))
    assert (found.names, found.sni) == (("192.0.2.1",), "")


def test_requiretls_wants_somebody_who_vouches_for_the_host(tmp_path: Path) -> None:
    found = World(tmp_path).of(requiretls=True)
    assert (found.enhanced, found.requiretls) == ("5.7.10", True)
    assert found.refused == "REQUIRETLS: neither DNSSEC nor MTA-STS vouches for mx.far.test"


@pytest.mark.parametrize("mode", ["enforce", "testing"])
def test_requiretls_over_mta_sts(tmp_path: Path, mode: str) -> None:
    world = World(tmp_path)
    world.publish(mode, "mx.far.test")
    found = world.of(requiretls=True)
    assert (found.level, found.names, found.requiretls, found.refused) == (
        "verify",
        ("mx.far.test",),
        True,
        "",
    )


def test_requiretls_over_dnssec(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.resolver.secure = {"far.test"}
    found = world.of(requiretls=True)
    assert (found.level, found.names, found.requiretls) == ("verify", ("mx.far.test",), True)
    world.signed(END_ENTITY)
    found = world.of(requiretls=True)
    assert (found.level, found.requiretls) == ("dane", True)


@pytest.mark.parametrize("level", ["none", "may", "encrypt"])
def test_requiretls_raises_what_the_route_says(tmp_path: Path, level: Any) -> None:
    found = World(tmp_path).of(Hop(kind="smtp", host="mx.far.test", port=25, tls=level), requiretls=True)
    assert (found.level, found.reason) == ("verify", "REQUIRETLS, over the route")


def test_requiretls_changes_no_refusal(tmp_path: Path) -> None:
    world = World(tmp_path, TlsPolicySettings(default="dane-only"))
    assert "asks for DANE" in world.of(requiretls=True).refused


def test_settings_say_what_is_wrong_with_a_domain() -> None:
    with pytest.raises(ValueError, match=r'domains\."a b": not a domain name'):
        TlsPolicySettings(domains={"a b": "may"})
    with pytest.raises(ValueError, match=r'domains\."FAR\.test": it is "far\.test" once more'):
        TlsPolicySettings(domains={"far.test": "may", "FAR.test": "none"})
