"""Self-signed certificates: for development, and until there is one by an authority."""

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fastsmtp.tls.pair import CertificateError

CERT_FILE = "cert.pem"
KEY_FILE = "key.pem"


def self_signed(names: Sequence[str], folder: Path, days: int = 365) -> tuple[Path, Path]:
    """Make a certificate for host names or IP addresses, and its key, as `CERT_FILE` and `KEY_FILE` in ``folder``,
    which is made when missing. Nothing is overwritten. Returns their paths. Raises `CertificateError`."""
    cert, key = folder / CERT_FILE, folder / KEY_FILE
    for file in (cert, key):
        if os.path.lexists(file):
            raise CertificateError(f"{file} exists already, and is not overwritten; choose another directory")
    private = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(names, private, days)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(key, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
        _write(cert, certificate.public_bytes(Encoding.PEM), 0o644)
    except OSError as error:
        raise CertificateError(f"cannot make {error.filename or folder}: {error.strerror}") from None
    return cert, key


def _certificate(names: Sequence[str], key: ec.EllipticCurvePrivateKey, days: int) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    # A common name has 64 characters at most (RFC 5280 appendix A.1); clients look at the others.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    try:
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    except ValueError as error:
        raise CertificateError(f"not a host name or IP address: {error}") from None
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A client's clock may be a little behind.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(alternatives, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, data: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as stream:
        stream.write(data)
