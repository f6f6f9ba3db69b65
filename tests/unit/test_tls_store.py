"""Which certificate a client gets, what a replacement leaves alone, and whose tickets are good where."""

import os
import ssl
from pathlib import Path

import pytest

from fastsmtp.tls.certificates import read_pair
from fastsmtp.tls.pair import CertificateError, Pair
from fastsmtp.tls.settings import TlsSettings
from fastsmtp.tls.store import CertificateStore
from tests.fakes.tls_client import TlsClient, client_context
from tests.tools.chains import Issued
from tests.tools.tls_pairs import pairs_for, store_for, write_pair

VERSIONS = pytest.mark.parametrize("version", ["1.2", "1.3"])


def shown(store: CertificateStore, name: str | None, version: str = "1.3") -> str:
    """The subject of the certificate that a client who asks for ``name`` gets."""
    facts = TlsClient(store, client_context(version), name=name).handshake().layer.facts
    assert facts is not None
    assert facts.certificate is not None
    return facts.certificate.subject


@VERSIONS
@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("mx.example.org", "mx.example.org"),
        ("MX.Example.ORG", "mx.example.org"),
        ("mail.example.org", "any.example.org"),
        ("a.b.example.org", "mx.example.org"),
        ("example.org", "mx.example.org"),
        ("mail.example.net", "mail.example.net"),
        ("unknown.test", "mx.example.org"),
        (None, "mx.example.org"),
    ],
)
def test_the_name_decides(tmp_path: Path, name: str | None, subject: str, version: str) -> None:
    store = store_for(tmp_path, "mx.example.org", "*.example.org", "mail.example.net")
    assert shown(store, name, version) == subject


def test_an_exact_name_goes_before_a_wildcard_of_an_earlier_certificate(tmp_path: Path) -> None:
    store = store_for(tmp_path, "*.example.org", "mail.example.org")
    assert shown(store, "mail.example.org") == "mail.example.org"


def test_a_replaced_certificate_is_for_new_sessions(tmp_path: Path) -> None:
    store = store_for(tmp_path, "mx.example.org", "mail.example.net")
    old = TlsClient(store, name="mail.example.net").handshake()
    half = TlsClient(store, name="mail.example.net")
    half.feed(half.flight())
    store.replace(1, pairs_for(tmp_path, ["new.example.net"])[0])
    assert shown(store, "new.example.net") == "new.example.net"
    assert shown(store, "mail.example.net") == "mx.example.org"
    half.handshake()
    for client in (old, half):
        client.send(b"NOOP\r\n")
        assert client.heard == b"NOOP\r\n"
        assert client.answer(b"250 ok\r\n") == b"250 ok\r\n"
        assert client.layer.facts is not None
        assert client.layer.facts.certificate is not None
        assert client.layer.facts.certificate.subject == "mail.example.net"


def test_what_openssl_refuses_changes_nothing(tmp_path: Path) -> None:
    store = store_for(tmp_path)
    before = store.pairs()
    with pytest.raises(CertificateError, match="OpenSSL refuses it"):
        store.replace(0, Pair(before[0].facts, b"no certificate"))
    assert store.pairs() == before
    assert shown(store, "mx.example.org") == "mx.example.org"


@VERSIONS
def test_a_session_is_resumed_in_another_worker_and_after_a_replacement(tmp_path: Path, version: str) -> None:
    store = store_for(tmp_path)
    context = client_context(version)
    first = TlsClient(store, context).handshake()
    first.read()  # the ticket of TLS 1.3
    session = first.object.session
    child = os.fork()
    if child == 0:  # another worker, in which the certificate has been replaced by one with another key
        code = 1
        try:
            store.replace(0, pairs_for(tmp_path, ["mx.example.org"])[0])
            facts = TlsClient(store, context, session=session).handshake().layer.facts
            code = 0 if facts is not None and facts.resumed else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    facts = TlsClient(store, context, session=session).handshake().layer.facts
    assert facts is not None
    assert facts.resumed
    assert facts.certificate == store.pairs()[0].facts


def test_another_server_does_not_resume_it(tmp_path: Path) -> None:
    context = client_context()
    first = TlsClient(store_for(tmp_path / "one"), context).handshake()
    first.read()
    facts = (
        TlsClient(store_for(tmp_path / "two"), context, session=first.object.session).handshake().layer.facts
    )
    assert facts is not None
    assert not facts.resumed


def test_authorities_that_cannot_be_read(tmp_path: Path) -> None:
    settings = TlsSettings(client_certificates="ask", client_ca=str(tmp_path / "ca.pem"))
    with pytest.raises(CertificateError, match=r"ca\.pem: cannot be used as client_ca: No such file"):
        CertificateStore(settings, [])
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(
        CertificateError, match=r"ca\.pem: cannot be used as client_ca: there is no certificate"
    ):
        CertificateStore(settings, [])


def test_a_chain_is_sent_whole(tmp_path: Path) -> None:
    authority = Issued("authority", authority=True)
    middle = Issued("middle", authority, authority=True)
    server = Issued("mx.example.org", middle, names=("mx.example.org",))
    store = CertificateStore(TlsSettings(), [read_pair(write_pair(tmp_path, server, middle))])
    context = authority.client_context()
    # The certificates of these tests do not name their issuer's key, which newer Pythons ask for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    assert TlsClient(store, context).handshake().layer.facts is not None
