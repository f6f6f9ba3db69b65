"""TLSA records against chains of certificates."""

import hashlib
import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastsmtp.dns.base import Tlsa
from fastsmtp.transport.smtp import dane
from fastsmtp.transport.smtp.dane import chain_of, check, spki, usable
from tests.tools.chains import Issued

NOW = time.time()
ROOT = Issued("root", authority=True)
MIDDLE = Issued("middle", ROOT, authority=True)
LEAF = Issued("mx.far.test", MIDDLE, names=("mx.far.test", "*.wild.test"))
CHAIN = [LEAF.der, MIDDLE.der, ROOT.der]
NAMES = ("mx.far.test",)


def record(usage: int, of: Issued, selector: int = 1, matching: int = 1) -> Tlsa:
    """The record that ``of``'s owner would publish."""
    data = of.spki if selector else of.der
    if matching:
        data = (hashlib.sha256 if matching == 1 else hashlib.sha512)(data).digest()
    return Tlsa(usage, selector, matching, data)


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
@pytest.mark.parametrize(("usage", "of"), [(3, LEAF), (2, MIDDLE), (2, ROOT)])
def test_what_matches(usage: int, of: Issued, selector: int, matching: int) -> None:
    assert check([record(usage, of, selector, matching)], CHAIN, NAMES, NOW)
    other = Issued("mx.far.test", MIDDLE, names=NAMES)
    assert not check([record(usage, other, selector, matching)], CHAIN, NAMES, NOW)


def test_one_record_that_matches_is_enough() -> None:
    assert check([record(3, ROOT), record(2, LEAF), record(3, LEAF)], CHAIN, NAMES, NOW)


def test_each_usage_has_its_place_in_the_chain() -> None:
    assert not check([record(3, MIDDLE)], CHAIN, NAMES, NOW)
    assert not check([record(2, LEAF)], CHAIN, NAMES, NOW)
    assert not check([record(3, LEAF)], [MIDDLE.der, LEAF.der], NAMES, NOW)
    assert not check([record(3, LEAF)], [], NAMES, NOW)


def test_usage_3_asks_for_no_name_and_no_date() -> None:
    old = Issued("old", begins=datetime(2001, 1, 1, tzinfo=UTC))
    assert check([record(3, old)], [old.der], ("mx.far.test",), NOW)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("mx.far.test",), True),
        (("other.test", "mx.far.test"), True),
        (("a.wild.test",), True),
        (("a.b.wild.test",), False),
        (("wild.test",), False),
        (("other.test",), False),
        ((), False),
    ],
)
def test_usage_2_asks_for_a_name(names: tuple[str, ...], expected: bool) -> None:
    assert check([record(2, ROOT)], CHAIN, names, NOW) is expected


def test_the_common_name_counts_without_others() -> None:
    plain = Issued("MX.far.test", ROOT)
    assert check([record(2, ROOT)], [plain.der, ROOT.der], NAMES, NOW)
    other = Issued("mx.far.test", ROOT, names=("other.test",))
    assert not check([record(2, ROOT)], [other.der, ROOT.der], NAMES, NOW)


def test_usage_2_asks_for_dates() -> None:
    late = NOW + timedelta(days=40).total_seconds()
    assert not check([record(2, ROOT)], CHAIN, NAMES, late)
    assert not check([record(2, ROOT)], CHAIN, NAMES, NOW - timedelta(days=1).total_seconds())
    expired = Issued("root", authority=True, begins=datetime(2001, 1, 1, tzinfo=UTC))
    leaf = Issued("mx.far.test", expired, names=NAMES)
    assert not check([record(2, expired)], [leaf.der, expired.der], NAMES, NOW)


def test_usage_2_asks_for_signatures() -> None:
    """The true anchor beside a certificate that it has not signed: of the same name, but another key."""
    forged_middle = Issued("middle", Issued("root", authority=True), authority=True)
    forged = Issued("mx.far.test", forged_middle, names=NAMES)
    for chain in (
        [forged.der, MIDDLE.der],
        [forged.der, forged_middle.der, ROOT.der],
        [forged.der, ROOT.der],
    ):
        assert not check([record(2, ROOT), record(2, MIDDLE)], chain, NAMES, NOW)


def test_an_issuer_that_may_not_issue() -> None:
    ordinary = Issued("shop.test", ROOT, names=("shop.test",))
    forged = Issued("mx.far.test", ordinary, names=NAMES)
    assert not check([record(2, ROOT)], [forged.der, ordinary.der, ROOT.der], NAMES, NOW)
    assert not check([record(2, ordinary)], [forged.der, ordinary.der], NAMES, NOW)


def test_order_and_company_of_the_chain_do_not_matter() -> None:
    assert check([record(2, ROOT)], [LEAF.der, ROOT.der, Issued("x").der, MIDDLE.der], NAMES, NOW)


def test_an_endless_chain() -> None:
    crowd = [Issued("x", authority=True).der for _ in range(dane._DEEPEST)]
    assert not check([record(2, ROOT)], [LEAF.der, *crowd, MIDDLE.der, ROOT.der], NAMES, NOW)


def test_garbage_for_certificates() -> None:
    junk = b"\x30\x03\x02\x01\x01"
    assert not check([record(2, ROOT), record(3, ROOT)], [junk, ROOT.der], NAMES, NOW)
    assert not check([Tlsa(2, 0, 0, junk)], [LEAF.der, junk], NAMES, NOW)


def test_usable() -> None:
    good = [record(3, LEAF), record(2, ROOT, 0, 0), record(3, LEAF, 0, 2)]
    bad = [
        record(0, LEAF),
        record(1, ROOT),
        record(4, LEAF),
        Tlsa(3, 2, 1, b"x" * 32),
        Tlsa(3, 1, 3, b"x" * 32),
        Tlsa(3, 1, 1, b"x" * 31),
        Tlsa(3, 1, 2, b"x" * 32),
        Tlsa(3, 1, 0, b""),
    ]
    assert usable([*bad, *good]) == tuple(good)


def test_of_two_digests_the_stronger_one_counts() -> None:
    """RFC 7671 §9, and only within one usage and selector; a whole certificate always counts."""
    weak, strong, whole = record(3, LEAF, 1, 1), record(3, LEAF, 1, 2), record(3, LEAF, 1, 0)
    other = record(2, ROOT, 1, 1)
    assert usable([weak, strong, whole, other]) == (strong, whole, other)


def test_spki_is_found_byte_for_byte() -> None:
    for one in (ROOT, LEAF):
        assert spki(one.der) == one.spki


def test_spki_of_anything_else() -> None:
    for end in range(len(LEAF.der)):
        assert spki(LEAF.der[:end]) is None
    for data in (
        b"\x30\x80" + b"\x00" * 50,
        b"\x30\x85" + b"\x01" * 50,
        b"\x04\x02ab",
        b"\x30\x84\xff\xff\xff\xff",
    ):
        assert spki(data) is None


def handshake(directory: Path) -> ssl.SSLSocket:
    """A client's socket after its handshake with a server that sends LEAF and MIDDLE."""
    context = LEAF.server_context(directory, MIDDLE)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with context.wrap_socket(theirs, server_side=True) as server:
            server.recv(1)

    threading.Thread(target=serve, daemon=True).start()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    return client.wrap_socket(ours)


def test_the_chain_of_a_connection(tmp_path: Path) -> None:
    with handshake(tmp_path) as connection:
        assert chain_of(connection) == [LEAF.der, MIDDLE.der]
        assert check([record(2, MIDDLE)], chain_of(connection), NAMES, NOW)


def test_the_chain_where_it_is_public_and_where_there_is_none() -> None:
    public = SimpleNamespace(get_unverified_chain=lambda: [b"leaf", b"issuer"])
    assert chain_of(public) == [b"leaf", b"issuer"]
    assert chain_of(SimpleNamespace(getpeercert=lambda binary_form: b"leaf")) == [b"leaf"]
    assert chain_of(SimpleNamespace(getpeercert=lambda binary_form: None)) == []
