"""The load generator's side of TLS against the server's layer, in memory."""

import ssl
from pathlib import Path

import pytest

from fastsmtp.loadgen.client_tls import ClientLayer, TlsClient
from fastsmtp.tls.layer import CLEAR_BUFFER, TlsLayer
from fastsmtp.tls.store import CertificateStore
from tests.tools.tls_pairs import store_for


def shaken(client: TlsClient, store: CertificateStore) -> tuple[ClientLayer, TlsLayer]:
    """Both sides after the handshake; the server has said ``220`` and the client has read it."""
    near, far = client.layer(), TlsLayer(store)
    clear = memoryview(bytearray(CLEAR_BUFFER))
    near.start()
    while far.facts is None:
        far.receive(memoryview(near.take()), clear)
        if far.facts is None:
            assert near.receive(memoryview(far.take())) == b""
    assert near.secured
    assert near.receive(memoryview(far.write(b"220"))) == b"220"
    return near, far


def test_what_is_written_is_read(tmp_path: Path) -> None:
    near, far = shaken(TlsClient(resume=False), store_for(tmp_path))
    clear = memoryview(bytearray(CLEAR_BUFFER))
    near.write(b"x" * 100_000)
    out, read = near.take(), 0
    for start in range(0, len(out), 60_000):
        read += far.receive(memoryview(out[start : start + 60_000]), clear)
    assert read == 100_000
    assert near.take() == b""


@pytest.mark.parametrize(("resume", "kind"), [(True, "resumed"), (False, "full handshake")])
def test_a_session_is_resumed_only_if_wished(tmp_path: Path, resume: bool, kind: str) -> None:
    client, store = TlsClient(resume=resume), store_for(tmp_path)
    first, _ = shaken(client, store)
    assert first.describe().endswith(", full handshake")
    client.keep(first)
    for _ in range(2):
        later, far = shaken(client, store)
        assert later.describe().startswith("TLSv1.3 TLS_")
        assert later.describe().endswith(f", {kind}")
        assert far.facts is not None
        assert far.facts.resumed is resume
        client.keep(later)


def test_what_is_not_tls_is_an_error() -> None:
    layer = TlsClient(resume=False).layer()
    layer.start()
    with pytest.raises(ssl.SSLError):
        layer.receive(memoryview(b"220 this is SMTP\r\n"))
