"""Accounts in memory: a few logins with their passwords in clear, answered at once or when a test says so."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import TypeVar

from fastsmtp.accounts.base import (
    PASSWORD,
    SCRAM,
    Identity,
    Refused,
    ScramKeys,
    Told,
    Unavailable,
    Verdict,
)
from fastsmtp.accounts.names import canonical_login

ITERATIONS = 4096

T = TypeVar("T")


class FakeAuthenticator:
    """An `Authenticator` of ``users``, by default alice@example.org with the password ``secret``.

    ``later``: every answer waits for `answer`. ``failing``: why nothing can be told now. ``senders``: further
    addresses by login. ``asked`` has the logins in the order they came.
    """

    def __init__(
        self,
        users: Mapping[str, str] | None = None,
        *,
        later: bool = False,
        home: str = "example.org",
        senders: Mapping[str, tuple[str, ...]] | None = None,
        mechanisms: frozenset[str] = PASSWORD | SCRAM,
    ) -> None:
        self.users = dict({"alice@example.org": "secret"} if users is None else users)
        self.later = later
        self.failing = ""
        self.disabled: set[str] = set()
        self.asked: list[str] = []
        self.mechanisms = mechanisms
        self._home = home
        self._senders = dict(senders or {})
        self._waiting: list[Callable[[], None]] = []

    def verify(self, login: str, password: bytes, told: Told) -> Verdict | None:
        """See `Authenticator.verify`."""

        def judge() -> Verdict:
            found = self._vouched(login)
            if isinstance(found, Identity) and self.users[found.login].encode() != password:
                return Refused("wrong password")
            return found

        return self._tell(login, judge, told)

    def scram(
        self, login: str, told: Callable[[ScramKeys | Unavailable], None]
    ) -> ScramKeys | Unavailable | None:
        """See `Authenticator.scram`."""

        def keys() -> ScramKeys | Unavailable:
            found = self._vouched(login)
            if isinstance(found, Unavailable):
                return found
            salt = hashlib.sha256(login.encode("utf-8", "replace")).digest()[:16]
            if isinstance(found, Refused):
                return ScramKeys(salt, ITERATIONS, bytes(32), bytes(32), None)
            salted = hashlib.pbkdf2_hmac("sha256", self.users[found.login].encode(), salt, ITERATIONS)
            client_key = hmac.digest(salted, b"Client Key", "sha256")
            return ScramKeys(
                salt,
                ITERATIONS,
                hashlib.sha256(client_key).digest(),
                hmac.digest(salted, b"Server Key", "sha256"),
                found,
            )

        return self._tell(login, keys, told)

    def vouched(self, login: str, told: Told) -> Verdict | None:
        """See `Authenticator.vouched`."""
        return self._tell(login, lambda: self._vouched(login), told)

    def answer(self) -> None:
        """Answer all that waits."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one()

    def _vouched(self, login: str) -> Verdict:
        if self.failing:
            return Unavailable(self.failing)
        name = canonical_login(login, self._home)
        if name is None or name not in self.users:
            return Refused("no such account")
        if name in self.disabled:
            return Refused("the account is disabled")
        return Identity(name, self._senders.get(name, ()))

    def _tell(self, login: str, judge: Callable[[], T], told: Callable[[T], None]) -> T | None:
        self.asked.append(login)
        if not self.later:
            return judge()
        self._waiting.append(lambda: told(judge()))
        return None
