"""Our resolver asks Debian's unbound: plain answers, large ones over TCP, and the AD bit of a zone that is signed."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dns.dnssec
import dns.name
import dns.rdataset
import dns.zone
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fastsmtp.clock import SystemClock
from fastsmtp.config.values import Endpoint
from fastsmtp.dns.base import DnsTemporary, Mx, NoSuchDomain, Tlsa
from fastsmtp.dns.resolver import NetworkResolver
from fastsmtp.dns.settings import DnsSettings
from tests.conftest import require_program
from tests.system.server import free_port
from tests.tools.waiting import until

PLAIN = {
    "far.test.": ["MX 10 mx1.far.test.", "MX 20 mx2.far.test."],
    "mx1.far.test.": ["A 192.0.2.1", "AAAA 2001:db8::1"],
    "www.far.test.": ["CNAME mx1.far.test."],
    "crowd.test.": [f"MX {i} a-rather-long-name-{i}.crowd.test." for i in range(90)],
}
SIGNED = """\
@ 300 IN SOA ns root 1 3600 600 86400 60
@ 300 IN NS ns
@ 300 IN MX 10 mx
ns 300 IN A 192.0.2.7
mx 300 IN A 192.0.2.8
alias 300 IN CNAME mx
_25._tcp.mx 300 IN TLSA 3 1 1 {digest}
"""


def sign(zone_name: str, file: Path) -> str:
    """Write the zone, signed, and give the record of its key that a resolver has to trust."""
    zone = dns.zone.from_text(SIGNED.format(digest="ab" * 32), zone_name, relativize=False)
    key = ec.generate_private_key(ec.SECP256R1())
    public = dns.dnssec.make_dnskey(key.public_key(), dns.dnssec.Algorithm.ECDSAP256SHA256, flags=257)
    now = datetime.now(UTC)
    dns.dnssec.sign_zone(
        zone, keys=[(key, public)], inception=now - timedelta(hours=1), expiration=now + timedelta(days=1)
    )
    zone.to_file(str(file), relativize=False)
    return f"{zone_name} DNSKEY {public.to_text()}"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """Where an unbound of our own listens."""
    program = require_program("unbound")
    folder = tmp_path_factory.mktemp("unbound")
    port = free_port()
    anchor = sign("signed.test.", folder / "signed.zone")
    sign("forged.test.", folder / "forged.zone")
    stranger = sign("forged.test.", folder / "other.zone")
    local = [f'local-data: "{name} 300 IN {text}"' for name, texts in PLAIN.items() for text in texts]
    zones = [f'local-zone: "{name}" static' for name in ("far.test.", "crowd.test.")]
    server = [
        f'directory: "{folder}"',
        f'pidfile: "{folder}/pid"',
        'chroot: ""',
        'username: ""',
        "use-syslog: no",
        "interface: 127.0.0.1",
        f"port: {port}",
        "do-daemonize: no",
        'module-config: "validator iterator"',
        'local-zone: "test." nodefault',
        f'trust-anchor: "{anchor}"',
        f'trust-anchor: "{stranger}"',
        *zones,
        *local,
    ]
    auth = "".join(
        f"auth-zone:\n  name: {name}.test\n  zonefile: {folder}/{name}.zone\n"
        "  for-upstream: yes\n  for-downstream: no\n  fallback-enabled: no\n"
        for name in ("signed", "forged")
    )
    settings = folder / "unbound.conf"
    settings.write_text("server:\n" + "".join(f"  {line}\n" for line in server) + auth)
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "-c", settings], stderr=output, env={**os.environ, "LC_ALL": "C"}
        )
    try:

        def listens() -> bool:
            assert process.poll() is None, log.read_text()
            with socket.socket() as sock:
                return sock.connect_ex(("127.0.0.1", port)) == 0

        until("unbound listens", listens, 30)
        yield Endpoint(socket.AF_INET, "127.0.0.1", port)
    finally:
        process.terminate()
        process.wait(30)


def ask(endpoint: Endpoint, question: Callable[[NetworkResolver], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        return await question(NetworkResolver([endpoint], SystemClock(), DnsSettings(timeout=10)))

    return asyncio.run(run())


def test_plain_answers(endpoint: Endpoint) -> None:
    found = ask(endpoint, lambda resolver: resolver.mx("far.test"))
    assert (found.records, found.secure) == ((Mx(10, "mx1.far.test"), Mx(20, "mx2.far.test")), False)
    found = ask(endpoint, lambda resolver: resolver.addresses("mx1.far.test"))
    assert (found.v6, found.v4, found.secure) == (("2001:db8::1",), ("192.0.2.1",), False)
    assert ask(endpoint, lambda resolver: resolver.mx("mx1.far.test")).records == ()
    with pytest.raises(NoSuchDomain):
        ask(endpoint, lambda resolver: resolver.mx("no.far.test"))


def test_an_alias(endpoint: Endpoint) -> None:
    """unbound does not follow those of its local data: we ask on."""
    found = ask(endpoint, lambda resolver: resolver.addresses("www.far.test"))
    assert (found.name, found.v4) == ("mx1.far.test", ("192.0.2.1",))


def test_what_does_not_fit_into_a_datagram(endpoint: Endpoint) -> None:
    assert len(ask(endpoint, lambda resolver: resolver.mx("crowd.test")).records) == 90


def test_a_signed_zone_is_vouched_for(endpoint: Endpoint) -> None:
    found = ask(endpoint, lambda resolver: resolver.mx("signed.test"))
    assert (found.records, found.secure) == ((Mx(10, "mx.signed.test"),), True)
    found = ask(endpoint, lambda resolver: resolver.addresses("alias.signed.test"))
    assert (found.name, found.v4, found.v6, found.secure) == ("mx.signed.test", ("192.0.2.8",), (), True)
    found = ask(endpoint, lambda resolver: resolver.tlsa("_25._tcp.mx.signed.test"))
    assert (found.records, found.secure) == ((Tlsa(3, 1, 1, b"\xab" * 32),), True)
    assert ask(endpoint, lambda resolver: resolver.mx("mx.signed.test")).secure  # that there is none, too


def test_a_zone_that_somebody_else_has_signed_is_no_answer(endpoint: Endpoint) -> None:
    with pytest.raises(DnsTemporary, match="SERVFAIL"):
        ask(endpoint, lambda resolver: resolver.mx("forged.test"))
