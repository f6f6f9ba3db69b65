"""Tokens of an issuer of the tests, and its public keys."""

import base64
import hmac
import json
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

ISSUER = "https://login.example.org"
AUDIENCE = "mail.example.org"
NOW = 1_700_000_000


class Careless(JWSRegistry):
    """Signs whatever stands in a header."""

    max_header_length = 10_000

    def check_header(self, header: dict[str, Any]) -> None:
        """Whatever it is."""


class Issuer:
    """Has one private key for each kind; ``jwks`` is what it publishes."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {
            "RS256": RSAKey.generate_key(2048, {"kid": "rsa"}),
            "ES256": ECKey.generate_key("P-256", {"kid": "ec"}),
            "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "ed"}),
        }
        self.keys["Ed25519"] = self.keys["EdDSA"]

    @property
    def jwks(self) -> bytes:
        """The public keys."""
        return json.dumps(
            KeySet([self.keys[name] for name in ("RS256", "ES256", "EdDSA")]).as_dict(private=False)
        ).encode()

    def token(
        self,
        claims: dict[str, Any] | None = None,
        *,
        algorithm: str = "ES256",
        key: Any = None,
        **header: Any,
    ) -> str:
        """A token with ``claims`` beside those that make it good for an hour; one that is None is left out."""
        key = key or self.keys[algorithm]
        said = {"iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 3600, "email": "alice@example.org"} | (
            claims or {}
        )
        said = {name: value for name, value in said.items() if value is not None}
        head = {"alg": algorithm, "kid": key.kid} | header
        head = {name: value for name, value in head.items() if value is not None}
        return jwt.encode(head, said, key, registry=Careless(algorithms=[algorithm]))


def by_hmac(token: str, secret: bytes, kid: str) -> str:
    """What ``token`` claims, signed by HMAC with ``secret``."""
    head = _segment(json.dumps({"alg": "HS256", "kid": kid}).encode())
    said = f"{head}.{token.split('.')[1]}"
    return f"{said}.{_segment(hmac.digest(secret, said.encode(), 'sha256'))}"


def _segment(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
