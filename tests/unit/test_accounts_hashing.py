"""A password matches the hash that was made of it, here or by another server, and no other."""

import base64
import hashlib
import subprocess
from types import SimpleNamespace

import pytest

from fastsmtp.accounts.hashing import LONGEST_PASSWORD, HashError, decoy_hash, make_hash, matches
from tests.conftest import require_program

CHEAP = SimpleNamespace(memory=64, passes=1)

OF_DOVECOT = (
    "SHA512-CRYPT",
    "SHA256-CRYPT",
    "MD5-CRYPT",
    "BLF-CRYPT",
    "ARGON2ID",
    "ARGON2I",
    "SSHA",
    "SSHA256",
    "SSHA512",
    "SHA",
    "SHA256",
    "SHA512",
    "SCRAM-SHA-256",
    "CRYPT",
)
"""Schemes that `doveadm pw` writes."""


def test_what_is_hashed_matches() -> None:
    for password in (b"secret", "sécret".encode(), b"\xff" * LONGEST_PASSWORD, b"a:b{c}$"):
        stored = make_hash(password, CHEAP)
        assert stored.startswith("$argon2id$v=19$m=64,t=1,p=1$")
        assert matches(stored, password)
        assert matches("{ARGON2ID}" + stored, password)
        assert matches("{argon2id}" + stored, password)
        assert not matches(stored, password + b"x")
        assert not matches(stored, password[:-1] + b"?")


def test_one_password_has_many_hashes() -> None:
    assert make_hash(b"secret", CHEAP) != make_hash(b"secret", CHEAP)


def test_a_decoy_costs_the_same_and_is_nobodys() -> None:
    decoy = decoy_hash(CHEAP)
    made = make_hash(b"", CHEAP)
    assert len(decoy) == len(made)
    assert decoy.rsplit("$", 2)[0] == made.rsplit("$", 2)[0]
    assert not matches(decoy, b"secret")


@pytest.mark.parametrize("scheme", OF_DOVECOT)
def test_hashes_that_dovecot_makes(scheme: str) -> None:
    doveadm = require_program("doveadm")
    done = subprocess.run(
        [doveadm, "pw", "-s", scheme, "-p", "tést word"], capture_output=True, text=True, timeout=60
    )
    stored = done.stdout.strip()
    assert stored.startswith(f"{{{scheme}}}"), done.stderr
    assert matches(stored, "tést word".encode())
    assert not matches(stored, b"test word")
    assert not matches(stored, b"")


def test_bcrypt_counts_what_it_always_counted() -> None:
    import bcrypt

    stored = bcrypt.hashpw(b"a" * 72, bcrypt.gensalt(4)).decode()
    assert matches(stored, b"a" * 100)
    assert not matches(stored, b"a" * 71)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "secret",
        "{PLAIN}secret",
        "{NOSUCH}secret",
        "{SSHA}secret!",
        "{SSHA}" + base64.b64encode(hashlib.sha1(b"secret").digest()).decode(),  # without salt
        "{SHA}" + base64.b64encode(b"short").decode(),
        "{SHA512-CRYPT}$6$secret",
        "{BLF-CRYPT}$2y$secret",
        "$argon2id$secret",
        "$argon2id$v=19$m=64,t=1,p=1$secret",
        "$argon2id$v=19$m=64,t=1,p=1$YWFhYWFhYWE$sécret",
        "{SCRAM-SHA-256}4096,secret",
        "{SCRAM-SHA-256}x,c2VjcmV0,c2VjcmV0,c2VjcmV0",
        "{SCRAM-SHA-256}0,c2VjcmV0,c2VjcmV0,c2VjcmV0",
        "{SCRAM-SHA-256}99999999999,c2VjcmV0,c2VjcmV0,c2VjcmV0",
        "{CRYPT}secretDES",
        "$9$secret",
    ],
)
def test_what_is_no_hash_is_told_without_showing_it(stored: str) -> None:
    with pytest.raises(HashError) as caught:
        matches(stored, b"secret")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_memory_that_is_not_there() -> None:
    with pytest.raises(HashError):
        make_hash(b"secret", SimpleNamespace(memory=(1 << 32) - 1, passes=1))
