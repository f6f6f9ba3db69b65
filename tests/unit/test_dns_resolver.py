"""The resolver against a server on loopback."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import dns.message
import pytest
import uvloop
from dns.rdatatype import RdataType
from msgspec.structs import replace

from fastsmtp.config.values import parse_endpoint
from fastsmtp.dns.base import Addresses, DnsTemporary, Mx, MxRecords, NoSuchDomain, Texts, Tlsa, TlsaRecords
from fastsmtp.dns.exchange import question
from fastsmtp.dns.resolver import AFTER_FAILURE, PER_TURN, SHORTEST, NetworkResolver
from fastsmtp.dns.settings import DnsSettings
from tests.fakes.clock import FakeClock
from tests.fakes.dns_server import DnsServer, scripted

Test = Callable[[NetworkResolver, DnsServer, FakeClock], Awaitable[Any]]


def ask(test: Test, *, prepare: Callable[[DnsServer], None], **settings: Any) -> Any:
    """Run ``test`` with a resolver that asks a server ``prepare`` has filled."""

    async def run(server: DnsServer) -> Any:
        clock = FakeClock()
        chosen = DnsSettings(**{"timeout": 5, "tries": 1, **settings})
        resolver = NetworkResolver([server.endpoint], clock, chosen)
        try:
            return await test(resolver, server, clock)
        finally:
            resolver.close()

    with DnsServer() as server:
        prepare(server)
        return uvloop.run(run(server))


def in_order(found: Addresses) -> Addresses:
    """The server shuffles records, as servers do."""
    return replace(found, v6=tuple(sorted(found.v6)), v4=tuple(sorted(found.v4)))


def test_mx() -> None:
    def prepare(server: DnsServer) -> None:
        server.add("far.test", "MX", "20 b.far.test.", "10 A.far.test.", "30 a\\032b.test.")

    async def test(resolver: NetworkResolver, server: DnsServer, clock: FakeClock) -> None:
        expected = MxRecords((Mx(10, "a.far.test"), Mx(20, "b.far.test")), False, 1)
        assert await resolver.mx("far.test") == expected
        assert await resolver.mx("FAR.test.") == expected
        assert server.asked("far.test") == ["MX udp"]

    ask(test, prepare=prepare)


def test_addresses() -> None:
    def prepare(server: DnsServer) -> None:
        server.add("mx.test", "A", "192.0.2.1", "192.0.2.2", secure=True)
        server.add("mx.test", "AAAA", "2001:db8::1")
        server.add("alias.test", "CNAME", "mx.test.", secure=True)
        server.add("v4.test", "A", "192.0.2.3")
        server.add("none.test", "TXT", '"x"')

    async def test(resolver: NetworkResolver, server: DnsServer, clock: FakeClock) -> None:
        both = Addresses(("2001:db8::1",), ("192.0.2.1", "192.0.2.2"), True, "mx.test")
        assert in_order(await resolver.addresses("mx.test")) == both
        assert in_order(await resolver.addresses("alias.test")) == both
        assert await resolver.addresses("v4.test") == Addresses((), ("192.0.2.3",), False, "v4.test")
        assert await resolver.addresses("none.test") == Addresses((), (), False, "none.test")
        count = len(server.queries)
        assert in_order(await resolver.addresses("mx.test")) == both
        assert len(server.queries) == count

    ask(test, prepare=prepare)


def test_txt_and_tlsa() -> None:
    def prepare(server: DnsServer) -> None:
        server.add("_mta-sts.far.test", "TXT", '"v=STSv1; " "id=1"', '"other"')
        server.add("_25._tcp.mx.test", "TLSA", f"3 1 1 {'ab' * 32}", secure=True)

    async def test(resolver: NetworkResolver, server: DnsServer, clock: FakeClock) -> None:
        texts = await resolver.txt("_mta-sts.far.test")
        assert Texts(tuple(sorted(texts.records))) == Texts((b"other", b"v=STSv1; id=1"))
        expected = TlsaRecords((Tlsa(3, 1, 1, b"\xab" * 32),), True)
        assert await resolver.tlsa("_25._tcp.mx.test") == expected

    ask(test, prepare=prepare)


def test_what_does_not_exist_and_what_is_not_there() -> None:
    def prepare(server: DnsServer) -> None:
        server.add("far.test", "TXT", '"x"')

    async def test(resolver: NetworkResolver, server: DnsServer, clock: FakeClock) -> None:
        for _ in range(2):
            with pytest.raises(NoSuchDomain, match=r"no\.test does not exist"):
                await resolver.mx("no.test")
            with pytest.raises(NoSuchDomain):
                await resolver.addresses("no.test")
            assert await resolver.mx("far.test") == MxRecords()
        assert len(server.queries) == 4  # both are remembered
        clock.pass_by(61)  # what the zone's SOA record allows
        with pytest.raises(NoSuchDomain):
            await resolver.mx("no.test")
        assert len(server.queries) == 5

    ask(test, prepare=prepare)


@pytest.mark.parametrize("name", ["", "a b.test", "-x.test", "ü" * 100, "x" * 64 + ".test", "a..test", "\n"])
def test_what_cannot_be_a_name_is_not_asked_for(name: str) -> None:
    async def test(resolver: NetworkResolver, server: DnsServer, clock: FakeClock) -> None:
        with pytest.raises(NoSuchDomain) as caught:
            await resolver.mx(name)
        assert str(caught.value).isprintable()
        with pytest.raises(NoSuchDomain):
            await resolver.addresses(name)
        assert server.queries == []

    ask(test, prepare=lambda server: None)


@pytest.mark.parametrize("code", ["SERVFAIL", "REFUSED"])
def test_failure_is_temporary_and_held_briefly(code: str) -> None:
    async def test(resolver: NetworkResolver, server: DnsServer, clock: FakeClock) -> None:
        for _ in range(3):
            with pytest.raises(DnsTemporary, match=f"MX of far.test: 127.0.0.1:{server.port}: {code}"):
                await resolver.mx("far.test")
        assert (
            len(server.queries) == 2
        )  # as often as tries says, and no more for the second and third look-up
        clock.pass_by(AFTER_FAILURE)
        with pytest.raises(DnsTemporary):
            await resolver.mx("far.test")
        assert len(server.queries) == 4

    ask(test, prepare=lambda server: server.fail("far.test", "MX", code=code), tries=2)


def test_silence_is_temporary() -> None:
    async def test(resolver: NetworkResolver, server: DnsServer, clock: FakeClock) -> None:
        with pytest.raises(DnsTemporary, match=r"no answer within 0.1 s"):
            await resolver.mx("far.test")
        while len(server.asked("far.test")) < 2:  # its thread may come to them later
            await asyncio.sleep(0.01)
        assert server.asked("far.test") == ["MX udp"] * 2

    ask(test, prepare=lambda server: server.hang("far.test", "MX"), timeout=0.1, tries=2)


def test_a_kept_failure_does_not_grow() -> None:
    """A hundred raises of one exception would chain a hundred tracebacks."""

    async def test(resolver: NetworkResolver, server: DnsServer, clock: FakeClock) -> None:
        seen = []
        for _ in range(2):
            with pytest.raises(DnsTemporary) as caught:
                await resolver.mx("far.test")
            seen.append(caught.value)
        assert seen[0] is not seen[1]

    ask(test, prepare=lambda server: server.fail("far.test", "MX"))


def test_one_family_that_fails_does_not_hide_the_other() -> None:
    def prepare(server: DnsServer) -> None:
        for name in ("half.test", "odd.test"):
            server.add(name, "A", "192.0.2.1", secure=True)
        server.fail("half.test", "AAAA")
        server.script("odd.test", "AAAA", scripted([], code="NXDOMAIN"))
        server.fail("gone.test", "AAAA")
        server.fail("both.test", "A", "AAAA")
        server.add("both.test", "TXT", '"x"')

    async def test(resolver: NetworkResolver, server: DnsServer, clock: FakeClock) -> None:
        # Vouched for all the same: else whoever can make one family fail could talk DANE away.
        assert await resolver.addresses("half.test") == Addresses((), ("192.0.2.1",), True, "half.test")
        assert (await resolver.addresses("odd.test")).v4 == ("192.0.2.1",)
        with pytest.raises(NoSuchDomain):
            await resolver.addresses("gone.test")
        with pytest.raises(DnsTemporary):
            await resolver.addresses("both.test")

    ask(test, prepare=prepare)


def test_a_hundred_askers_cost_one_question() -> None:
    def prepare(server: DnsServer) -> None:
        server.add("far.test", "MX", "10 mx.far.test.")

    async def test(resolver: NetworkResolver, server: DnsServer, clock: FakeClock) -> None:
        tasks = [asyncio.create_task(resolver.mx("far.test")) for _ in range(101)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        found = await asyncio.gather(*tasks[1:])
        assert {answer.records for answer in found} == {(Mx(10, "mx.far.test"),)}
        assert server.asked("far.test") == ["MX udp"]

    ask(test, prepare=prepare)


def test_time_to_live() -> None:
    def prepare(server: DnsServer) -> None:
        server.add("far.test", "MX", "10 mx.far.test.", ttl=60)
        server.add("hasty.test", "MX", "10 mx.far.test.", ttl=0)
        server.add("slow.test", "MX", "10 mx.far.test.", ttl=2_000_000)

    async def test(resolver: NetworkResolver, server: DnsServer, clock: FakeClock) -> None:
        async def asked_again_after(name: str, seconds: float) -> bool:
            await resolver.mx(name)
            count = len(server.queries)
            clock.pass_by(seconds)
            await resolver.mx(name)
            return len(server.queries) > count

        assert not await asked_again_after("far.test", 59)
        assert await asked_again_after("far.test", 61)
        assert not await asked_again_after("hasty.test", SHORTEST - 1)
        assert await asked_again_after("hasty.test", SHORTEST)
        assert not await asked_again_after("slow.test", 86_000)
        assert await asked_again_after("slow.test", 86_400)

    ask(test, prepare=prepare)


def test_an_alias_the_server_does_not_follow() -> None:
    def prepare(server: DnsServer) -> None:
        server.script("far.test", "MX", scripted([("far.test.", "CNAME", "real.test.")]))
        server.add("real.test", "MX", "10 mx.far.test.")
        server.script("a.test", "MX", scripted([("a.test.", "CNAME", "b.test.")]))
        server.script("b.test", "MX", scripted([("b.test.", "CNAME", "a.test.")]))

    async def test(resolver: NetworkResolver, server: DnsServer, clock: FakeClock) -> None:
        assert (await resolver.mx("far.test")).records == (Mx(10, "mx.far.test"),)
        assert server.queries == ["MX far.test udp", "MX real.test udp"]
        with pytest.raises(DnsTemporary, match="without an end"):
            await resolver.mx("a.test")
        assert len(server.queries) == 10

    ask(test, prepare=prepare)


def test_the_next_server_is_asked_and_then_preferred() -> None:
    async def run(bad: DnsServer, good: DnsServer) -> None:
        settings = DnsSettings(timeout=5, tries=1)
        resolver = NetworkResolver([bad.endpoint, good.endpoint], FakeClock(), settings)
        assert (await resolver.mx("one.test")).records == (Mx(10, "mx.far.test"),)
        assert (await resolver.mx("two.test")).records == (Mx(20, "mx.far.test"),)
        assert bad.queries == ["MX one.test udp"]
        assert good.queries == ["MX one.test udp", "MX two.test udp"]

    with DnsServer() as bad, DnsServer() as good:
        bad.fail("one.test", "MX", code="REFUSED")
        good.add("one.test", "MX", "10 mx.far.test.")
        good.add("two.test", "MX", "20 mx.far.test.")
        asyncio.run(run(bad, good))


@pytest.mark.parametrize(("address", "trust", "expected"), [
    ("127.0.0.1:53", False, True),
    ("[::1]:53", False, True),
    ("192.0.2.1:53", False, False),
    ("192.0.2.1:53", True, True),
])  # fmt: skip
def test_whose_ad_bit_is_believed(
    address: str, trust: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def exchange(name: str, kind: RdataType, *rest: Any) -> Any:
        fake = DnsServer()
        fake.add("far.test", "MX", "10 mx.far.test.", secure=True)
        with fake:
            return dns.message.from_wire(fake.answer(question(name, kind)).to_wire()), 50

    async def run() -> bool:
        settings = DnsSettings(trust_ad=trust)
        resolver = NetworkResolver([parse_endpoint(address)], FakeClock(), settings)
        return (await resolver.mx("far.test")).secure

    monkeypatch.setattr("fastsmtp.dns.resolver.exchange", exchange)
    assert asyncio.run(run()) is expected


def test_a_thousand_names_leave_the_loop_free() -> None:
    """While they are looked up, something else gets its turn after each few of them."""

    def prepare(server: DnsServer) -> None:
        for i in range(1000):
            server.add(f"d{i}.test", "MX", f"10 mx{i}.far.test.")

    async def test(resolver: NetworkResolver, server: DnsServer, clock: FakeClock) -> int:
        turns, done = 0, False

        async def other() -> None:
            nonlocal turns
            while not done:
                await asyncio.sleep(0)
                turns += 1

        beside = asyncio.create_task(other())
        found = await asyncio.gather(*(resolver.mx(f"d{i}.test") for i in range(1000)))
        done = True
        await beside
        assert [answer.records[0].host for answer in found] == [f"mx{i}.far.test" for i in range(1000)]
        return turns

    # Each name is a question and an answer. Without a pace it is a handful of turns.
    assert ask(test, prepare=prepare, timeout=1, tries=10) > 2 * 1000 / PER_TURN - 10
