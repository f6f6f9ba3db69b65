"""Passwords and their hashes: argon2id (RFC 9106) for new ones, and what other servers' files hold.

A stored password is a hash as crypt(3) writes it (``$argon2id$…``, ``$6$…``, ``$2y$…``), or one with Dovecot's name
of its scheme before it (``{SSHA256}…``). Everything here takes long; call it from a thread. No error's text holds any
part of a password or of a hash.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from typing import Protocol

from argon2 import low_level
from argon2.exceptions import HashingError, InvalidHashError, VerificationError, VerifyMismatchError

LONGEST_PASSWORD = 1024
"""Octets of a password. What is longer is nobody's, and is not hashed."""

_SALT = 16
_LENGTH = 32
_SCHEME = re.compile(r"\{([A-Za-z0-9-]{1,32})\}")
_SALTED = {  # of Dovecot and of LDAP: base64 of the digest and the salt
    "SHA": "sha1",
    "SHA1": "sha1",
    "SSHA": "sha1",
    "SHA256": "sha256",
    "SSHA256": "sha256",
    "SHA512": "sha512",
    "SSHA512": "sha512",
}
_BCRYPT_TAKES = 72  # octets; the rest of a password never counted (crypt_blowfish)


class Cost(Protocol):
    """What a new hash costs; `HashSettings`."""

    @property
    def memory(self) -> int:
        """KiB of memory."""

    @property
    def passes(self) -> int:
        """Passes over the memory."""


class HashError(Exception):
    """A stored password that cannot be compared with, and why."""


def make_hash(password: bytes, cost: Cost) -> str:
    """The argon2id hash of ``password``. Raises `HashError` when memory does not suffice."""
    try:
        made = low_level.hash_secret(
            password,
            secrets.token_bytes(_SALT),
            time_cost=cost.passes,
            memory_cost=cost.memory,
            parallelism=1,
            hash_len=_LENGTH,
            type=low_level.Type.ID,
        )
    except HashingError as error:
        raise HashError(f"argon2id: {error}") from None
    return made.decode("ascii")


def decoy_hash(cost: Cost) -> str:
    """A hash that no password has, and that costs as much to compare with as one of `make_hash`."""
    salt, digest = (_unpadded(secrets.token_bytes(length)) for length in (_SALT, _LENGTH))
    return f"$argon2id$v=19$m={cost.memory},t={cost.passes},p=1${salt}${digest}"


def matches(stored: str, password: bytes) -> bool:
    """Whether ``password`` is the one whose hash is ``stored``. Raises `HashError`."""
    scheme = _SCHEME.match(stored)
    name, rest = (scheme[1].upper(), stored[scheme.end() :]) if scheme else ("CRYPT", stored)
    compare = _COMPARE.get(name)
    if compare is None:
        raise HashError(f"passwords of the scheme {name} cannot be checked")
    try:
        return compare(name, rest, password)
    except (ValueError, TypeError, OverflowError):  # what a library says may show a hash
        raise HashError(f"not a hash of the scheme {name}") from None


def _argon2(name: str, stored: str, password: bytes) -> bool:
    kind = low_level.Type.I if stored.startswith("$argon2i$") else low_level.Type.ID
    try:
        return low_level.verify_secret(stored.encode("ascii"), password, kind)
    except VerifyMismatchError:
        return False
    except InvalidHashError:
        raise ValueError from None
    except VerificationError as error:
        raise HashError(f"argon2: {error}") from None


def _salted(name: str, stored: str, password: bytes) -> bool:
    octets = base64.b64decode(stored, validate=True)
    algorithm = _SALTED[name]
    length = hashlib.new(algorithm).digest_size
    digest, salt = octets[:length], octets[length:]
    if len(digest) < length or bool(salt) != name.startswith("SS"):
        raise ValueError
    return hmac.compare_digest(digest, hashlib.new(algorithm, password + salt).digest())


def _scram(name: str, stored: str, password: bytes) -> bool:
    """``iterations,salt,stored key,server key``, the last three in base64, as Dovecot keeps them."""
    count, *parts = stored.split(",")
    salt, stored_key, _ = (base64.b64decode(part, validate=True) for part in parts)
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, int(count))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return hmac.compare_digest(stored_key, hashlib.sha256(client_key).digest())


def _bcrypt(name: str, stored: str, password: bytes) -> bool:
    try:
        import bcrypt
    except ImportError:
        raise HashError(_missing("bcrypt")) from None
    return bcrypt.checkpw(password[:_BCRYPT_TAKES], stored.encode("ascii"))


def _sha_crypt(name: str, stored: str, password: bytes) -> bool:
    try:
        from passlib import hash as formats
    except ImportError:
        raise HashError(_missing("libpass")) from None
    known = {"$1$": formats.md5_crypt, "$5$": formats.sha256_crypt, "$6$": formats.sha512_crypt}
    return bool(known[stored[:3]].verify(password, stored))


def _crypt(name: str, stored: str, password: bytes) -> bool:
    """Whichever the hash itself says."""
    for start, compare in _BY_PREFIX.items():
        if stored.startswith(start):
            return compare(name, stored, password)
    raise ValueError


Compare = Callable[[str, str, bytes], bool]

_BY_PREFIX: dict[str, Compare] = {
    "$argon2id$": _argon2,
    "$argon2i$": _argon2,
    "$2a$": _bcrypt,
    "$2b$": _bcrypt,
    "$2y$": _bcrypt,
    "$1$": _sha_crypt,
    "$5$": _sha_crypt,
    "$6$": _sha_crypt,
}
_COMPARE: dict[str, Compare] = {
    **dict.fromkeys(("CRYPT", "ARGON2ID", "ARGON2I", "BLF-CRYPT"), _crypt),
    **dict.fromkeys(("MD5-CRYPT", "SHA256-CRYPT", "SHA512-CRYPT"), _crypt),
    **dict.fromkeys(_SALTED, _salted),
    "SCRAM-SHA-256": _scram,
}


def _unpadded(octets: bytes) -> str:
    return base64.b64encode(octets).decode().rstrip("=")


def _missing(package: str) -> str:
    return f"a hash of an old format needs {package}; install fastsmtp-mta[passwords]"
