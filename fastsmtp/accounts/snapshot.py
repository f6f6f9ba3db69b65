"""Names that a backend cannot look up at once: all of them in memory, replaced when they have been read again."""

from collections.abc import Iterable, Sequence

from fastsmtp.accounts.base import AccountsError
from fastsmtp.accounts.names import canonical_domain, canonical_local
from fastsmtp.accounts.static import NoNames


class SnapshotNames(NoNames):
    """The `Names` of accounts in the domains of the settings. Until `replace` has been called the first time nothing
    can be told. ``complete``: these are all who may log in, so that whoever is not among them has been removed."""

    def __init__(self, *, complete: bool = False) -> None:
        self.version = 0
        self._complete = complete
        self._users: frozenset[str] | None = None
        self._disabled: frozenset[str] = frozenset()

    def replace(self, users: Iterable[str], disabled: Iterable[str] = ()) -> None:
        """These are all logins, canonical, and those among them that are ``disabled``."""
        fresh, off = frozenset(users), frozenset(disabled)
        if (fresh, off) != (self._users, self._disabled):
            self._users, self._disabled = fresh, off
            self.version += 1

    def has_user(self, local: str, domain: str) -> bool:
        """See `Names.has_user`."""
        if self._users is None:
            raise AccountsError("accounts have not been read yet")
        return f"{local}@{domain}" in self._users

    def disabled(self, login: str) -> bool:
        """See `Names.disabled`."""
        gone = self._complete and self._users is not None and login not in self._users
        return gone or login in self._disabled


def canonical_senders(text: str) -> Sequence[str]:
    """Addresses that somebody may send as, from a column that holds them with commas or blanks between."""
    found = []
    for word in text.replace(",", " ").split():
        local, at, domain = word.rpartition("@")
        found.append(f"{canonical_local(local)}@{canonical_domain(domain)}" if at else word)
    return tuple(found)
