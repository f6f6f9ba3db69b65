"""TLS of one connection, in memory."""

import random
import ssl
import sys
from pathlib import Path

import pytest

from fastsmtp.tls.layer import CIPHER_BUFFER, CLEAR_BUFFER, HANDSHAKE, TlsError, TlsLayer
from fastsmtp.tls.store import CertificateStore
from tests.fakes.tls_client import TlsClient, client_context
from tests.tools.chains import Issued
from tests.tools.tls_pairs import key_pem, store_for


@pytest.fixture
def store(tmp_path: Path) -> CertificateStore:
    """With a certificate for mx.example.org."""
    return store_for(tmp_path)


VERSIONS = pytest.mark.parametrize("version", ["1.2", "1.3"])


@VERSIONS
def test_both_ways(store: CertificateStore, version: str) -> None:
    client = TlsClient(store, client_context(version)).handshake()
    client.send(b"EHLO client.example\r\n")
    assert client.heard == b"EHLO client.example\r\n"
    assert client.answer(b"250 mx.example.org\r\n") == b"250 mx.example.org\r\n"
    assert client.layer.take() == b"", "nothing more is owed"


@VERSIONS
def test_what_came_out_of_the_handshake(store: CertificateStore, version: str) -> None:
    facts = TlsClient(store, client_context(version)).handshake().layer.facts
    assert facts is not None
    assert facts.version == f"TLSv{version}"
    assert (facts.cipher, facts.bits) in {
        ("TLS_AES_256_GCM_SHA384", 256),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", 256),
    }
    assert not facts.resumed
    assert facts.server_name == "mx.example.org"
    assert facts.certificate == store.pairs()[0].facts
    assert facts.client_subject is None
    assert facts.client_fingerprint is None


@VERSIONS
def test_every_split_of_the_stream(store: CertificateStore, version: str) -> None:
    chance = random.Random(7)
    client = TlsClient(store, client_context(version)).handshake()
    said = chance.randbytes(100_000)
    stream = client.ciphertext(said)
    while stream:
        size = chance.choice([1, 5, 100, 16_384, 16_406, CIPHER_BUFFER])
        client.feed(stream[:size])
        stream = stream[size:]
    assert client.heard == said


@VERSIONS
def test_a_handshake_byte_by_byte(store: CertificateStore, version: str) -> None:
    client = TlsClient(store, client_context(version))
    while client.layer.facts is None:
        for byte in client.flight():
            client.feed(bytes([byte]))
        client.pump()
    client.send(b"NOOP\r\n")
    assert client.heard == b"NOOP\r\n"


def test_the_clear_text_of_a_full_buffer_fits_behind_a_record_that_lay_there(store: CertificateStore) -> None:
    client = TlsClient(store).handshake()
    said = bytes(16_384) * 5
    stream = client.ciphertext(said)
    client.feed(stream[:16_400])  # all but the end of a record
    assert client.heard == b""
    client.feed(stream[16_400 : 16_400 + CIPHER_BUFFER])
    assert len(client.heard) <= CLEAR_BUFFER
    client.feed(stream[16_400 + CIPHER_BUFFER :])
    assert client.heard == said


def test_a_long_answer_takes_several_records(store: CertificateStore) -> None:
    said = random.Random(7).randbytes(100_000)
    assert TlsClient(store).handshake().answer(said) == said


def test_early_commands_behind_the_handshake_are_heard(store: CertificateStore) -> None:
    """A client may send its first command with the last bytes of its handshake."""
    client = TlsClient(store)
    client.feed(client.flight())
    client.pump()
    last = client.flight()
    client.feed(last + client.ciphertext(b"EHLO client.example\r\n"))
    assert client.layer.facts is not None
    assert client.heard == b"EHLO client.example\r\n"


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"NOOP\r\nEHLO client.example\r\n", "TLS handshake: what came is not TLS"),
        (b"GET / HTTP/1.1\r\nHost: mx.example.org\r\n\r\n", "TLS handshake: an HTTP request came"),
        (b"\x16\x03\x01\x00\x05hello", "TLS handshake: "),
        (b"\x16\x03\x01\xff\xff" + bytes(500), "TLS handshake: "),
        (b"\x00" * 100, "TLS handshake: "),
    ],
)
def test_what_is_no_client_hello(store: CertificateStore, sent: bytes, reason: str) -> None:
    layer = TlsLayer(store)
    with pytest.raises(TlsError) as caught:
        layer.receive(memoryview(sent), memoryview(bytearray(CLEAR_BUFFER)))
    assert str(caught.value).startswith(reason)
    assert layer.facts is None


def test_a_handshake_that_is_cut_off_waits(store: CertificateStore) -> None:
    """The connection's end, or its time-out, ends it: nothing of it is taken for more than it is."""
    client = TlsClient(store)
    hello = client.flight()
    client.feed(hello[: len(hello) // 2])
    assert client.layer.facts is None
    assert client.layer.take() == b""
    assert not client.layer.finished
    client.layer.close()
    assert client.layer.take() == b""


def test_a_handshake_that_has_no_end(store: CertificateStore) -> None:
    """OpenSSL would keep 128 KB of a hello."""
    client = TlsClient(store)
    records = b"\x16\x03\x01\x04\x00\x01\x02\x00\x00" + bytes(1020) + b"\x16\x03\x01\x04\x00" + bytes(1024)
    client.feed(records * (HANDSHAKE // len(records)))
    with pytest.raises(TlsError, match=f"^TLS handshake: it goes on after {HANDSHAKE} octets$"):
        client.feed(records)


def test_a_name_that_is_none(store: CertificateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    client = TlsClient(store, name="mx.example.org")
    hello = client.flight().replace(b"mx.example.org", b"mx.\xff\n.mple.org")
    with pytest.raises(TlsError, match="asks for is not ASCII"):
        client.feed(hello)
    assert client.layer.take()[:1] == b"\x15", "an alert"
    assert len(told) == 1, "the worker puts one line of it into its log"


def test_old_versions_are_refused_with_an_alert(store: CertificateStore) -> None:
    # A ClientHello of TLS 1.1, which Python's own client cannot be made to send.
    head = bytes.fromhex("1603010031 0100002d 0302")
    hello = head + bytes(32) + bytes.fromhex("00 0006 c00a c014 0035 01 00")
    layer = TlsLayer(store)
    with pytest.raises(TlsError, match="the client speaks no version that is allowed"):
        layer.receive(memoryview(hello), memoryview(bytearray(CLEAR_BUFFER)))
    assert layer.take()[:1] == b"\x15", "an alert"


def test_a_client_without_a_common_cipher(store: CertificateStore) -> None:
    context = client_context("1.2")
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")  # the certificate is ECDSA
    client = TlsClient(store, context)
    with pytest.raises(TlsError, match="no cipher in common"):
        client.feed(client.flight())
    assert client.layer.take()[:1] == b"\x15", "an alert"


def test_only_1_3_where_it_is_set_so(tmp_path: Path) -> None:
    store = store_for(tmp_path, min_version="1.3")
    assert TlsClient(store, client_context("1.3")).handshake().layer.facts is not None
    client = TlsClient(store, client_context("1.2"))
    with pytest.raises(TlsError, match="the client speaks no version that is allowed"):
        client.feed(client.flight())


@VERSIONS
def test_the_end_is_said_by_both(store: CertificateStore, version: str) -> None:
    client = TlsClient(store, client_context(version)).handshake()
    client.read()  # its tickets
    with pytest.raises(ssl.SSLWantReadError):
        client.object.unwrap()
    client.pump()
    assert client.layer.finished
    client.layer.close()
    client.pump()
    client.object.unwrap()


def test_after_close_the_client_may_still_be_read(store: CertificateStore) -> None:
    client = TlsClient(store).handshake()
    client.layer.close()
    assert client.layer.take()
    client.send(b"QUIT\r\n")
    assert not client.layer.finished


def test_a_record_that_was_changed_ends_the_session(store: CertificateStore) -> None:
    client = TlsClient(store).handshake()
    record = bytearray(client.ciphertext(b"NOOP\r\n"))
    record[-1] ^= 1
    with pytest.raises(TlsError, match=r"^TLS: decryption failed or bad record mac$"):
        client.feed(bytes(record))
    assert client.heard == b""


def test_a_client_with_a_certificate(tmp_path: Path) -> None:
    authority = Issued("clients", authority=True)
    (tmp_path / "ca.pem").write_text(authority.pem)
    store = store_for(tmp_path, client_certificates="require", client_ca=str(tmp_path / "ca.pem"))
    laptop = Issued("laptop", authority)
    (tmp_path / "laptop.pem").write_bytes(key_pem(laptop) + laptop.pem.encode())
    context = client_context()
    context.load_cert_chain(tmp_path / "laptop.pem")
    facts = TlsClient(store, context).handshake().layer.facts
    assert facts is not None
    assert facts.client_subject == "commonName=laptop"
    assert facts.client_fingerprint is not None
    assert len(facts.client_fingerprint) == 64


@VERSIONS
def test_a_client_without_one_where_it_is_required(tmp_path: Path, version: str) -> None:
    (tmp_path / "ca.pem").write_text(Issued("clients", authority=True).pem)
    store = store_for(tmp_path, client_certificates="require", client_ca=str(tmp_path / "ca.pem"))
    with pytest.raises(TlsError, match="the client showed no certificate"):
        TlsClient(store, client_context(version)).handshake()


def test_a_stranger_s_certificate(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(Issued("clients", authority=True).pem)
    store = store_for(tmp_path, client_certificates="ask", client_ca=str(tmp_path / "ca.pem"))
    assert TlsClient(store).handshake().layer.facts is not None, "none is asked for, none is needed"
    stranger = Issued("stranger")
    (tmp_path / "stranger.pem").write_bytes(key_pem(stranger) + stranger.pem.encode())
    context = client_context()
    context.load_cert_chain(tmp_path / "stranger.pem")
    with pytest.raises(TlsError, match="client certificate: self-signed certificate"):
        TlsClient(store, context).handshake()
