"""The ``[auth.oauth]`` table: whose tokens count."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from fastsmtp.config.values import Duration

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"
]
"""Signatures that whoever checks them could not make (RFC 8725 §3.1): no HMAC, no ``none``."""


class OauthSettings(Struct, frozen=True, kw_only=True):
    """Tokens (JWT) of one issuer, by OAUTHBEARER and XOAUTH2. Needs the extra `oauth`."""

    issuer: Annotated[
        str,
        Meta(
            min_length=1,
            description="What `iss` in a token has to be, to the letter.",
            examples=["https://login.example.org"],
        ),
    ]
    audience: Annotated[
        str,
        Meta(
            min_length=1,
            description="What `aud` in a token has to name: this server, as the issuer knows it.",
            examples=["mail.example.org"],
        ),
    ]
    keys: Annotated[
        str,
        Meta(
            description="The issuer's public keys as a JWKS (RFC 7517): a file, or a URL that begins with `https://`.",
            examples=["https://login.example.org/jwks.json"],
        ),
    ]
    refresh: Annotated[
        Duration,
        Meta(
            description="How often the keys are fetched again; and at once, but not every time, when a token names a "
            "key that is not among them.",
            extra={"between": ("1m", "7d")},
        ),
    ] = Duration(3600)
    claim: Annotated[
        str,
        Meta(
            min_length=1,
            description="What in a token names the login; with `email`, `email_verified` has to be true where it "
            "stands.",
        ),
    ] = "email"
    algorithms: Annotated[
        tuple[Algorithm, ...],
        Meta(
            min_length=1,
            description="Signatures that count, by their names in RFC 7518, RFC 8037 and RFC 9864.",
        ),
    ] = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")

    def __post_init__(self) -> None:
        if "://" in self.keys:
            try:
                parts = urlsplit(self.keys)
                good = (
                    parts.scheme == "https" and parts.hostname and parts.port != 0 and "@" not in parts.netloc
                )
            except ValueError:
                good = False
            if not good or not (self.keys.isascii() and self.keys.isprintable()) or " " in self.keys:
                raise ValueError(f'keys: expected a file, or a URL with https://, got "{self.keys}"')

    @property
    def by_https(self) -> bool:
        """Whether the keys are fetched by HTTPS."""
        return "://" in self.keys
