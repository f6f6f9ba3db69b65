"""What a handshake asks for, between two objects in memory."""

import ssl
from pathlib import Path

import pytest

from fastsmtp.transport.smtp.tls import Contexts, reason_of
from tests.tools.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str | None) -> ssl.SSLObject:
    """Shakes hands in memory; the client's end."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        for end in (ours, theirs):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert ours.version()
    return ours


def test_any_certificate_will_do(authority: Authority) -> None:
    contexts = Contexts()
    end = handshake(contexts.any_certificate(), authority.server("mx.far.test"), "other.test")
    assert end.getpeercert(binary_form=True), "there for DANE to look at"
    assert contexts.any_certificate() is contexts.any_certificate()


def test_a_known_authority_and_the_right_name(authority: Authority) -> None:
    contexts = Contexts(str(authority.file))
    server = authority.server("mx.far.test")
    assert handshake(contexts.verifying(), server, "mx.far.test").getpeercert()
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        handshake(contexts.verifying(), server, "mx.other.test")
    assert reason_of(caught.value).startswith("certificate: Hostname mismatch")
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        handshake(Contexts().verifying(), server, "mx.far.test")
    assert reason_of(caught.value).startswith("certificate: self-signed certificate")


@pytest.mark.parametrize("verify", [False, True])
def test_old_versions_are_not_spoken(authority: Authority, verify: bool) -> None:
    contexts = Contexts(str(authority.file))
    context = contexts.verifying() if verify else contexts.any_certificate()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_missing_file_of_authorities(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Contexts(str(tmp_path / "none.pem")).verifying()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError("x"), "no handshake in time"),
        (ConnectionAbortedError("SSL handshake is taking longer"), "connection closed in the handshake"),
        (EOFError(), "connection closed in the handshake"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong"), "[SSL: WRONG_VERSION_NUMBER] wrong"),
        (ValueError(), "ValueError"),
    ],
)
def test_reasons(error: Exception, reason: str) -> None:
    assert reason_of(error).endswith(reason)


def test_the_library_s_word_for_it() -> None:
    end = Contexts().any_certificate().wrap_bio(garbage := ssl.MemoryBIO(), ssl.MemoryBIO())
    garbage.write(b"250 hello\r\n" * 10)
    with pytest.raises(ssl.SSLError) as caught:
        end.do_handshake()
    assert reason_of(caught.value) == "wrong version number"
