"""Certificates with keys for tests of our own TLS: as files of a directory, and as the server holds them."""

from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from fastsmtp.tls.certificates import read_pair
from fastsmtp.tls.pair import Pair
from fastsmtp.tls.settings import CertificateSettings, TlsSettings
from fastsmtp.tls.store import CertificateStore
from tests.tools.chains import Issued


def key_pem(issued: Issued, password: bytes | None = None) -> bytes:
    """Its private key."""
    hidden: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        hidden = serialization.BestAvailableEncryption(password)
    return issued.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)


def write_pair(folder: Path, issued: Issued, *chain: Issued, name: str = "mx") -> CertificateSettings:
    """``NAME.pem`` with the ``chain`` after it, and ``NAME.key``, as the settings name them."""
    folder.mkdir(exist_ok=True)
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    cert.write_text("".join(one.pem for one in (issued, *chain)))
    if not key.exists():
        key.touch(mode=0o600)
    key.write_bytes(key_pem(issued))
    return CertificateSettings(cert=str(cert), key=str(key))


def pairs_for(folder: Path, names: Sequence[str]) -> list[Pair]:
    """One self-signed pair for each name."""
    return [
        read_pair(write_pair(folder, Issued(name.replace("*", "any"), names=(name,)), name=f"pair{number}"))
        for number, name in enumerate(names)
    ]


def store_for(folder: Path, *names: str, **settings: object) -> CertificateStore:
    """A store with a self-signed pair for each name, mx.example.org without one."""
    return CertificateStore(TlsSettings(**settings), pairs_for(folder, names or ("mx.example.org",)))  # type: ignore[arg-type]
