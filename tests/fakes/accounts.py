"""Accounts in memory: names, and a few logins with passwords in clear, answered at once or when a test says so."""

import hashlib
import hmac
from collections.abc import Callable, Collection, Mapping, Sequence
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


class FakeNames:
    """The `Names` of a backend with these ``users`` (the domains are theirs); count ``version`` up after a change.
    ``off``: who is disabled; ``quotas`` in octets."""

    def __init__(
        self,
        users: Collection[str] = (),
        aliases: Mapping[str, tuple[str, ...]] | None = None,
        senders: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.version = 1
        self.users = set(users)
        self.aliases = dict(aliases or {})
        self.off: set[str] = set()
        self.quotas: dict[str, int] = {}
        self._senders = dict(senders or {})

    @property
    def first_domain(self) -> str:
        """See `Names.first_domain`."""
        return min(self._domains(), default="")

    @property
    def international(self) -> bool:
        """See `Names.international`."""
        return any("xn--" in domain for domain in self._domains())

    def has_domain(self, domain: str) -> bool:
        """See `Names.has_domain`."""
        return domain in self._domains()

    def has_user(self, local: str, domain: str) -> bool:
        """See `Names.has_user`."""
        return f"{local}@{domain}" in self.users

    def alias(self, local: str, domain: str) -> Sequence[str] | None:
        """See `Names.alias`."""
        return self.aliases.get(f"{local}@{domain}")

    def quota(self, mailbox: str) -> int:
        """See `Names.quota`."""
        return self.quotas.get(mailbox, 0)

    def senders(self, login: str) -> Sequence[str]:
        """See `Names.senders`."""
        return self._senders.get(login, ())

    def disabled(self, login: str) -> bool:
        """See `Names.disabled`."""
        return login in self.off

    def _domains(self) -> set[str]:
        return {user.rpartition("@")[2] for user in self.users}


class FakePool:
    """A pool whose work is done when a test says so: by `work`. ``room``: how much may wait."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self._waiting: list[Callable[[], None]] = []

    def submit(self, work: Callable[[], T], told: Callable[[T], None], failed: Callable[[str], T]) -> bool:
        """See `ThreadPool.submit`."""
        if len(self._waiting) >= self.room:
            return False
        self._waiting.append(lambda: told(work()))
        return True

    def work(self) -> int:
        """Do what waits; returns how much that was."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one()
        return len(waiting)
