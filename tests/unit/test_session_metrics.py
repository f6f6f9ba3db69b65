"""What sessions count and how long their stages take, on a clock of the test's own."""

from collections.abc import Iterator

import pytest

from fastsmtp.telemetry.metrics import BY_NAME, PLACES
from fastsmtp.tls.store import CertificateStore
from tests.fakes.accounts import FakeAuthenticator
from tests.fakes.service import World
from tests.fakes.tls_session import TlsSession
from tests.fakes.verifier import FakeVerifier
from tests.tools.tls_pairs import store_for

EHLO = b"EHLO client.test\r\n"
MAIL = b"MAIL FROM:<a@b.test>\r\n"
RCPT = b"RCPT TO:<alice@local.test>\r\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CertificateStore:
    return store_for(tmp_path_factory.mktemp("pairs"))


@pytest.fixture
def verifier() -> FakeVerifier:
    return FakeVerifier()


@pytest.fixture
def world(store: CertificateStore, verifier: FakeVerifier) -> Iterator[World]:
    made = World(
        certificates=store,
        verifier=verifier,
        authenticator=FakeAuthenticator({"alice@local.test": "secret"}),
        clear_on_loopback=True,
        connections_per_ip=2,
    )
    yield made
    made.close()


def counted(world: World, name: str) -> dict[tuple[str, ...], int]:
    """What is not 0 of a counter."""
    cells = world.log.meter.row.counters(f"fastsmtp_{name}")
    return {labels: count for labels, cell in cells.items() if (count := cell.get())}


def stage(world: World, name: str) -> tuple[int, float]:
    """How often a stage was measured, and all its seconds."""
    metric = BY_NAME["fastsmtp_session_stage_seconds"]
    at = PLACES[metric.name] + list(metric.series()).index((name,)) * metric.cells
    cells = world.log.meter.row.values()[at : at + metric.cells].tolist()
    return sum(cells[:-1]), cells[-1] / 1e6


def test_a_message_its_octets_recipients_and_stages(world: World) -> None:
    client = world.connect()
    client.feed(EHLO + MAIL + RCPT + b"RCPT TO:<bob@local.test>\r\nDATA\r\n")
    world.clock.pass_by(3.0)
    client.feed(b"Subject: x\r\n\r\nHello\r\n.\r\n")
    world.clock.pass_by(0.25)
    assert stage(world, "commit") == (0, 0.0), "it is not stored yet"
    while world.spool.waiting:
        world.spool.commit()
    assert stage(world, "data") == (1, 3.0)
    assert stage(world, "commit") == (1, 0.25)
    assert counted(world, "messages_received") == {(): 1}
    assert counted(world, "recipients_received") == {(): 2}
    assert counted(world, "received_bytes") == {(): len(b"Subject: x\r\n\r\nHello\r\n")}


def test_connections_count_also_those_that_are_refused(world: World) -> None:
    for _ in range(40):
        world.connect()
    assert counted(world, "connections") == {(): 40}
    assert counted(world, "rejected") == {("connect", "connections"): 38}, "more than the log has lines of"
    assert sum("rejected" in line for line in world.logged()) < 38


def test_a_handshake_and_one_that_fails(world: World) -> None:
    client = world.connect()
    client.feed(EHLO + b"STARTTLS\r\n")
    client.take()
    world.clock.pass_by(0.5)
    TlsSession(client).begin()
    assert stage(world, "tls") == (1, 0.5)
    assert counted(world, "tls_handshakes") == {("TLSv1.3", "no"): 1}
    assert counted(world, "tls_failures") == {}
    other = world.connect("192.0.2.9")
    other.feed(EHLO + b"STARTTLS\r\n")
    other.feed(b"GET / HTTP/1.1\r\n\r\n")
    assert counted(world, "tls_failures") == {(): 1}


def test_logins_by_mechanism_and_end(world: World) -> None:
    client = world.connect("127.0.0.1")
    client.feed(EHLO + b"AUTH PLAIN\r\n")
    world.clock.pass_by(2.0)
    client.feed(b"AGFsaWNlQGxvY2FsLnRlc3QAd3Jvbmc=\r\n")  # wrong
    client.feed(b"AUTH PLAIN AGFsaWNlQGxvY2FsLnRlc3QAc2VjcmV0\r\n")  # secret
    assert counted(world, "logins") == {("PLAIN", "done"): 1, ("PLAIN", "refused"): 1}
    assert stage(world, "auth") == (2, 2.0)


def test_a_recipient_for_whom_the_next_hop_is_asked(world: World, verifier: FakeVerifier) -> None:
    client = world.connect()
    client.feed(EHLO + MAIL + RCPT)
    assert stage(world, "rcpt") == (0, 0.0), "nobody was asked"
    client.feed(b"RCPT TO:<carol@corp.test>\r\n")
    world.clock.pass_by(4.0)
    verifier.answer(None)
    assert stage(world, "rcpt") == (1, 4.0)


def test_what_is_refused_counts_by_stage_and_reason(world: World) -> None:
    client = world.connect()
    client.feed(EHLO + MAIL + b"RCPT TO:<nobody@local.test>\r\nRCPT TO:<a@elsewhere.test>\r\n")
    assert counted(world, "rejected") == {("rcpt", "unknown_recipient"): 1, ("rcpt", "relay"): 1}
