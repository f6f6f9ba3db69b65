"""Passwords that were right a moment ago are known again without hashing them."""

import hmac
import secrets
from threading import Lock

from fastsmtp.clock import Clock

_MOST = 10_000


class Proofs:
    """Keyed digests of login, stored hash and password, each good for ``lifetime`` seconds; from any thread. With
    another hash stored, a digest is another: a password that was changed is known no more."""

    def __init__(self, lifetime: float, clock: Clock) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._until: dict[bytes, float] = {}
        self._lock = Lock()

    def known(self, login: str, stored: str, password: bytes) -> bool:
        """Whether this was proven within the lifetime."""
        until = self._until.get(self._digest(login, stored, password))
        return until is not None and self._clock.monotonic() < until

    def proven(self, login: str, stored: str, password: bytes) -> None:
        """Remember this."""
        if not self._lifetime:
            return
        now = self._clock.monotonic()
        with self._lock:
            if len(self._until) >= _MOST:
                self._until = {digest: until for digest, until in self._until.items() if now < until}
            if len(self._until) >= _MOST:
                self._until = {}
            self._until[self._digest(login, stored, password)] = now + self._lifetime

    def _digest(self, login: str, stored: str, password: bytes) -> bytes:
        parts = (login.encode(), stored.encode(), password)
        return hmac.digest(self._key, b"".join(b"%d:%b" % (len(part), part) for part in parts), "sha256")
