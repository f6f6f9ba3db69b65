"""Chains of certificates for tests, made on the spot: an authority, what it signs, and contexts of `ssl` for them."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Issued:
    """A certificate with its key; `issue` makes another one that this one has signed."""

    def __init__(
        self,
        name: str,
        issuer: "Issued | None" = None,
        *,
        names: tuple[str, ...] = (),
        authority: bool = False,
        valid_for: timedelta = timedelta(days=30),
        begins: datetime | None = None,
    ) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        start = begins or datetime.now(UTC) - timedelta(hours=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + valid_for)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if names:
            alternatives = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
            builder = builder.add_extension(alternatives, critical=False)
        self.certificate = builder.sign(issuer.key if issuer else self.key, hashes.SHA256())
        self.der = self.certificate.public_bytes(serialization.Encoding.DER)
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def spki(self) -> bytes:
        """Its public key, in DER."""
        return self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def server_context(self, directory: Path, *chain: "Issued") -> ssl.SSLContext:
        """What a server with this certificate uses; ``chain`` is what it sends beside it. Files go into
        ``directory``."""
        key = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
        file = directory / "certificate.pem"
        file.write_text(key + "".join(one.pem for one in (self, *chain)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def client_context(self) -> ssl.SSLContext:
        """What a client that trusts this authority, and no other, uses."""
        return ssl.create_default_context(cadata=self.pem)
