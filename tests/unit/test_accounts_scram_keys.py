"""SCRAM's keys are those of the RFC's example, and made up ones cannot be told from them."""

import base64
import hashlib
import hmac

from fastsmtp.accounts.base import Identity
from fastsmtp.accounts.scram_keys import decoy, derive


def test_the_server_proves_itself_as_in_rfc_7677(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    monkeypatch.setattr("secrets.token_bytes", lambda length: salt)
    keys = derive(b"pencil", 4096, Identity("user@example.org"))
    message = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    signature = hmac.digest(keys.server_key, message, "sha256")
    assert base64.b64encode(signature) == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    client_signature = hmac.digest(keys.stored_key, message, "sha256")
    client_key = bytes(a ^ b for a, b in zip(proof, client_signature, strict=True))
    assert hashlib.sha256(client_key).digest() == keys.stored_key
    assert keys.identity == Identity("user@example.org")


def test_each_password_has_a_salt_of_its_own() -> None:
    assert derive(b"secret", 4096).salt != derive(b"secret", 4096).salt


def test_made_up_keys_look_like_true_ones_and_stay() -> None:
    true, made = derive(b"secret", 4096), decoy(b"key", "nobody@example.org", 4096)
    assert made == decoy(b"key", "nobody@example.org", 4096)
    assert made.identity is None
    assert [len(part) for part in (made.salt, made.stored_key, made.server_key)] == [
        len(part) for part in (true.salt, true.stored_key, true.server_key)
    ]
    assert made.salt != decoy(b"key", "other@example.org", 4096).salt
    assert made.salt != decoy(b"other", "nobody@example.org", 4096).salt
    decoy(b"key", "\udcff\0", 4096)


def test_keys_are_not_shown() -> None:
    keys = derive(b"secret", 4096)
    assert repr(keys) == "ScramKeys(iterations=4096, identity=None)"
