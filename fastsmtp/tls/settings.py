"""The ``[tls]`` table."""

import ssl
from typing import Annotated, Literal

from msgspec import Meta, Struct

ClientCertificates = Literal["none", "ask", "require"]

CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
"""Of TLS 1.2: Mozilla's intermediate list without DHE, as Python cannot make parameters for it."""


class CertificateSettings(Struct, frozen=True, kw_only=True):
    """A certificate with its key. Clients that name a host (SNI) get the first one made for it, others the first of
    all. Both files are watched; only the user the server is started as has to be able to read them. On one line:
    `certificates = [{ cert = "…", key = "…" }]` in `[tls]`."""

    cert: Annotated[
        str,
        Meta(
            min_length=1,
            description="The certificate in PEM, those of its issuers after it.",
            examples=["/etc/fastsmtp/fullchain.pem"],
        ),
    ]
    key: Annotated[
        str,
        Meta(
            min_length=1,
            description="Its private key in PEM, not encrypted, and for its owner alone to read.",
            examples=["/etc/fastsmtp/privkey.pem"],
        ),
    ]

    def __post_init__(self) -> None:
        for name in ("cert", "key"):
            if "\0" in getattr(self, name):
                raise ValueError(f"{name}: expected a path without NUL")


class TlsSettings(Struct, frozen=True, kw_only=True):
    """TLS on our listeners. Without a certificate there is none."""

    certificates: Annotated[
        tuple[CertificateSettings, ...],
        Meta(
            description="Certificates with their keys.",
            examples=[[{"cert": "/etc/fastsmtp/fullchain.pem", "key": "/etc/fastsmtp/privkey.pem"}]],
        ),
    ] = ()
    min_version: Annotated[
        Literal["1.2", "1.3"], Meta(description="The oldest version of TLS that is spoken (RFC 8996).")
    ] = "1.2"
    ciphers: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="Ciphers for TLS 1.2, as OpenSSL names them; those of 1.3 are OpenSSL's own.",
                extra={"default": "ECDHE with AES-GCM or ChaCha20"},
            ),
        ]
        | None
    ) = None
    client_certificates: Annotated[
        ClientCertificates,
        Meta(
            description="Whether clients are asked for a certificate. With `ask` they may have none, but one that "
            "`client_ca` did not sign ends the handshake; `require` wants one of every client."
        ),
    ] = "none"
    client_ca: (
        Annotated[
            str, Meta(min_length=1, description="The authorities of clients' certificates, a file in PEM.")
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        if self.client_certificates != "none" and self.client_ca is None:
            raise ValueError(
                f'client_ca: client_certificates = "{self.client_certificates}" needs the authorities to believe'
            )
        if self.client_ca is not None and "\0" in self.client_ca:
            raise ValueError("client_ca: expected a path without NUL")
        if self.ciphers is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(self.ciphers)
            except (ssl.SSLError, ValueError):
                raise ValueError(
                    f'ciphers: OpenSSL knows none of "{self.ciphers}"; `openssl ciphers -v` lists them'
                ) from None
