"""The directory that stands in the settings file: ``mailboxes.domains`` and ``mailboxes.users``."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from fastsmtp.accounts.base import Account
from fastsmtp.accounts.names import canonical_domain, canonical_local
from fastsmtp.config.values import check_hostname

POSTMASTER = "postmaster"
SUB_ADDRESS = "+"


class DirectorySettings(Protocol):
    """What the directory needs of the ``[mailboxes]`` table."""

    @property
    def domains(self) -> Sequence[str]:
        """The local domains; the first is that of the bare ``<postmaster>``."""

    @property
    def users(self) -> Sequence[str]:
        """``alice``: in every local domain; ``alice@example.org``: in that one."""

    @property
    def unknown_users(self) -> str:
        """``reject``, or ``create``: every local part is a user."""

    @property
    def postmaster(self) -> str:
        """Who receives postmaster's mail: a user, or a full address."""


class StaticDirectory:
    """Users by name. Local parts and domains are compared without regard to case, and ``user+tag`` belongs to
    ``user`` (RFC 5233) unless that very name is a user."""

    def __init__(self, settings: DirectorySettings) -> None:
        self._domains = {canonical_domain(domain): domain for domain in settings.domains}
        # IDNA costs a millisecond for the longest names, and whoever knocks chooses them.
        self._international = any("xn--" in domain for domain in self._domains)
        self._first = next(iter(self._domains), "")
        self._create = settings.unknown_users == "create"
        self._users: set[tuple[str, str]] = set()
        for user in settings.users:
            local, at, domain = user.rpartition("@")
            for one in [canonical_domain(domain)] if at else self._domains:
                self._users.add((canonical_local(local if at else domain), one))
        self._postmaster = settings.postmaster

    def local_domain(self, domain: str) -> bool:
        """See `Directory.local_domain`."""
        return self._canonical(domain) in self._domains

    def lookup(self, local: str, domain: str) -> Account | None:
        """See `Directory.lookup`."""
        name, home = canonical_local(local), self._canonical(domain)
        if not home and name == POSTMASTER:
            home = self._first
        if home not in self._domains or not name:
            return None
        base = name.partition(SUB_ADDRESS)[0] or name
        if base == POSTMASTER and (name, home) not in self._users:
            return self._postmaster_of(home)
        if (name, home) in self._users:
            return Account(f"{name}@{home}")
        if self._create or (base, home) in self._users:
            return Account(f"{base}@{home}")
        return None

    def _canonical(self, domain: str) -> str:
        return canonical_domain(domain) if self._international or domain.isascii() else domain

    def _postmaster_of(self, domain: str) -> Account:
        local, at, home = self._postmaster.rpartition("@")
        if at:
            return Account(f"{canonical_local(local)}@{canonical_domain(home)}")
        return Account(f"{canonical_local(home)}@{domain}")


def directory_problems(settings: DirectorySettings) -> Iterator[str]:
    """What is wrong with the names in ``settings``, one line each, beginning with the key."""
    domains = {canonical_domain(domain) for domain in settings.domains}
    for i, domain in enumerate(settings.domains):
        try:
            check_hostname(canonical_domain(domain))
        except ValueError:
            yield f'domains[{i}]: expected a domain such as "example.org", got "{domain}"'
    for i, user in enumerate(settings.users):
        local, at, domain = user.rpartition("@")
        if not (local if at else domain):
            yield f'users[{i}]: expected a name such as "alice" or "alice@example.org", got "{user}"'
        elif at and canonical_domain(domain) not in domains:
            yield f'users[{i}]: the domain of "{user}" is not among mailboxes.domains'
    local, at, domain = settings.postmaster.rpartition("@")
    name = canonical_local(local if at else domain)
    if at and canonical_domain(domain) not in domains:
        yield f'postmaster: the domain of "{settings.postmaster}" is not among mailboxes.domains'
    elif settings.unknown_users != "create" and name != POSTMASTER:
        directory = StaticDirectory(settings)
        for home in [canonical_domain(domain)] if at else sorted(domains):
            if directory.lookup(name, home) is None:
                yield f'postmaster: there is no user "{name}" in {home}; name one of mailboxes.users'
