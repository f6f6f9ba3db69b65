"""The resolver over the network and the one in memory answer alike, and mail finds its way with both."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import uvloop

from fastsmtp.dns.base import DnsTemporary, Mx, NoSuchDomain, Resolver, Tlsa
from fastsmtp.dns.resolver import NetworkResolver
from fastsmtp.dns.settings import DnsSettings
from fastsmtp.routing.route import Hop
from fastsmtp.transport.smtp.https import HttpsFetcher
from fastsmtp.transport.smtp.mta_sts import PolicyFiles, StsPolicies
from fastsmtp.transport.smtp.mx import Destination, Unroutable, targets
from fastsmtp.transport.smtp.own import Own
from fastsmtp.transport.smtp.policy import Policies, Protection
from fastsmtp.transport.smtp.tls_report import TlsReport
from fastsmtp.transport.smtp.tls_settings import TlsPolicySettings
from tests.fakes.clock import FakeClock
from tests.fakes.dns_server import DnsServer
from tests.fakes.resolver import FakeResolver
from tests.tools.chains import Issued

Ask = Callable[[Callable[[Resolver], Awaitable[Any]]], Any]
DIGEST = b"\xab" * 32
POLICY = b"version: STSv1\nmode: enforce\nmx: mx.sts.test\nmax_age: 604800\n"


def in_memory() -> FakeResolver:
    resolver = FakeResolver()
    resolver.mxs = {
        "far.test": [(10, "mx1.far.test"), (20, "mx2.far.test")],
        "null.test": [(0, "")],
        "signed.test": [(10, "mx.signed.test")],
        "sts.test": [(10, "mx.sts.test")],
        "broken.test": [(10, "mx.broken.test")],
    }
    resolver.hosts = {
        "mx1.far.test": ["192.0.2.1", "2001:db8::1"],
        "mx2.far.test": ["192.0.2.2"],
        "mx.signed.test": ["192.0.2.3"],
        "mx.sts.test": ["192.0.2.4"],
        "mta-sts.sts.test": ["127.0.0.1"],
    }
    resolver.aliases = {"alias.far.test": "mx1.far.test"}
    resolver.txts = {"_mta-sts.sts.test": [b"v=STSv1; id=1;"]}
    resolver.tlsas = {"_25._tcp.mx.signed.test": [Tlsa(3, 1, 1, DIGEST)]}
    resolver.secure = {"signed.test", "mx.signed.test", "_25._tcp.mx.signed.test"}
    resolver.failing = {"mx.broken.test", "failing.test"}
    return resolver


def on_the_wire(server: DnsServer) -> None:
    server.add("far.test", "MX", "20 mx2.far.test.", "10 MX1.far.test.")
    server.add("null.test", "MX", "0 .")
    server.add("signed.test", "MX", "10 mx.signed.test.", secure=True)
    server.add("sts.test", "MX", "10 mx.sts.test.")
    server.add("broken.test", "MX", "10 mx.broken.test.")
    server.add("mx1.far.test", "A", "192.0.2.1")
    server.add("mx1.far.test", "AAAA", "2001:db8::1")
    server.add("mx2.far.test", "A", "192.0.2.2")
    server.add("mx.signed.test", "A", "192.0.2.3", secure=True)
    server.add("mx.sts.test", "A", "192.0.2.4")
    server.add("mta-sts.sts.test", "A", "127.0.0.1")
    server.add("alias.far.test", "CNAME", "mx1.far.test.")
    server.add("_mta-sts.sts.test", "TXT", '"v=STSv1; id=1;"')
    server.add("_25._tcp.mx.signed.test", "TLSA", f"3 1 1 {DIGEST.hex()}", secure=True)
    server.fail("mx.broken.test", "A", "AAAA")
    server.fail("failing.test", "MX", "A", "AAAA", "TXT", "TLSA")


@pytest.fixture(params=["network", "memory"])
def ask(request: pytest.FixtureRequest) -> Iterator[Ask]:
    if request.param == "memory":

        async def from_memory(question: Callable[[Resolver], Awaitable[Any]]) -> Any:
            return await question(in_memory())

        yield lambda question: uvloop.run(from_memory(question))
        return
    with DnsServer() as server:
        on_the_wire(server)

        async def from_network(question: Callable[[Resolver], Awaitable[Any]]) -> Any:
            resolver = NetworkResolver([server.endpoint], FakeClock(), DnsSettings(timeout=10, tries=1))
            try:
                return await question(resolver)
            finally:
                resolver.close()

        yield lambda question: uvloop.run(from_network(question))


def test_answers(ask: Ask) -> None:
    found = ask(lambda resolver: resolver.mx("far.test"))
    assert (found.records, found.secure) == ((Mx(10, "mx1.far.test"), Mx(20, "mx2.far.test")), False)
    assert ask(lambda resolver: resolver.mx("null.test")).records == (Mx(0, ""),)
    assert ask(lambda resolver: resolver.mx("mx1.far.test")).records == ()
    found = ask(lambda resolver: resolver.addresses("alias.far.test"))
    assert (found.v6, found.v4, found.name) == (("2001:db8::1",), ("192.0.2.1",), "mx1.far.test")
    assert ask(lambda resolver: resolver.txt("_mta-sts.sts.test")).records == (b"v=STSv1; id=1;",)
    found = ask(lambda resolver: resolver.tlsa("_25._tcp.mx.signed.test"))
    assert (found.records, found.secure) == ((Tlsa(3, 1, 1, DIGEST),), True)


@pytest.mark.parametrize("kind", ["mx", "addresses", "txt", "tlsa"])
def test_errors(ask: Ask, kind: str) -> None:
    with pytest.raises(NoSuchDomain):
        ask(lambda resolver: getattr(resolver, kind)("no.such.test"))
    with pytest.raises(DnsTemporary):
        ask(lambda resolver: getattr(resolver, kind)("failing.test"))


def find(ask: Ask, domain: str) -> Destination:
    async def question(resolver: Resolver) -> Destination:
        return await targets(Hop("mx", domain, 25), Own({"us.test"}), resolver=resolver, rng=Random(1))

    found: Destination = ask(question)
    return found


def test_the_way_to_hosts(ask: Ask) -> None:
    found = find(ask, "far.test")
    assert [(host.name, host.addresses.v4) for host in found.hosts] == [
        ("mx1.far.test", ("192.0.2.1",)),
        ("mx2.far.test", ("192.0.2.2",)),
    ]
    assert found.site == "mx1.far.test,mx2.far.test"


@pytest.mark.parametrize(
    ("domain", "status"),
    [("no.such.test", "5.1.2"), ("null.test", "5.1.10"), ("failing.test", "4.4.3"), ("broken.test", "4.4.3")],
)
def test_where_there_is_no_way(ask: Ask, domain: str, status: str) -> None:
    with pytest.raises(Unroutable) as caught:
        find(ask, domain)
    assert caught.value.enhanced == status


async def web(issued: Issued, directory: Path) -> asyncio.Server:
    """A web server with the policy of sts.test."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(POLICY)}\r\n\r\n"
        writer.write(head.encode() + POLICY)
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0, ssl=issued.server_context(directory))


@pytest.mark.parametrize(
    ("domain", "level", "policy"),
    [
        ("signed.test", "dane", "tlsa"),
        ("sts.test", "verify", "sts"),
        ("far.test", "may", "no-policy-found"),
    ],
)
def test_what_protects_the_way(ask: Ask, tmp_path: Path, domain: str, level: str, policy: str) -> None:
    """All of it together: MX, addresses, TLSA or the policy from a web server that the same zone names."""

    async def question(resolver: Resolver) -> Protection:
        clock, report = FakeClock(), TlsReport()
        files = PolicyFiles(tmp_path / "mta-sts", clock)
        files.open()
        authority = Issued("root", authority=True)
        name = "mta-sts.sts.test"
        server = await web(Issued(name, authority, names=(name,)), tmp_path)
        port = server.sockets[0].getsockname()[1]
        fetcher = HttpsFetcher(resolver, authority.client_context(), port=port)
        sts = StsPolicies(resolver, fetcher, files, report, clock)
        policies = Policies(TlsPolicySettings(), resolver, sts, report)
        hop = Hop("mx", domain, 25)
        found = await targets(hop, Own(), resolver=resolver, rng=Random(1))
        try:
            return await policies.of(hop, found, found.hosts[0])
        finally:
            server.close()

    found = ask(question)
    assert (found.level, found.policy, found.refused) == (level, policy, "")
