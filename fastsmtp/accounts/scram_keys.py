"""The keys of SCRAM-SHA-256 (RFC 5802 §3, RFC 7677) that are kept of a password."""

import hashlib
import hmac
import secrets

from fastsmtp.accounts.base import Identity, ScramKeys

_SALT = 16


def derive(password: bytes, iterations: int, identity: Identity | None = None) -> ScramKeys:
    """Those of ``password``, which is prepared (RFC 4013), with a new salt. Takes long."""
    salt = secrets.token_bytes(_SALT)
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    return ScramKeys(salt, iterations, hashlib.sha256(client_key).digest(), server_key, identity)


def decoy(secret: bytes, login: str, iterations: int) -> ScramKeys:
    """Keys made up of ``secret`` for a login that nobody has: the same each time, as true ones would be."""
    name = login.encode("utf-8", "surrogatepass")
    salt, stored_key, server_key = (
        hmac.digest(secret, part + name, "sha256") for part in (b"salt:", b"stored:", b"server:")
    )
    return ScramKeys(salt[:_SALT], iterations, stored_key, server_key, None)
