"""The directory: ``mailboxes.domains`` and ``mailboxes.users`` of the settings file, and the names of a backend."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from fastsmtp.accounts.base import Account, Identity, Names
from fastsmtp.accounts.names import canonical_domain, canonical_local
from fastsmtp.config.values import check_hostname

POSTMASTER = "postmaster"
SUB_ADDRESS = "+"
ANY_SENDER = "*"
"""Among the addresses that somebody may send as: every one."""


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


class NoNames:
    """The `Names` of a backend that knows nobody."""

    version = 0
    first_domain = ""
    international = False

    def has_domain(self, domain: str) -> bool:
        """See `Names.has_domain`."""
        return False

    def has_user(self, local: str, domain: str) -> bool:
        """See `Names.has_user`."""
        return False

    def alias(self, local: str, domain: str) -> Sequence[str] | None:
        """See `Names.alias`."""
        return None

    def quota(self, mailbox: str) -> int:
        """See `Names.quota`."""
        return 0

    def senders(self, login: str) -> Sequence[str]:
        """See `Names.senders`."""
        return ()

    def disabled(self, login: str) -> bool:
        """See `Names.disabled`."""
        return False


class StaticDirectory:
    """Users by name: those of ``settings``, and beside them those of ``names``. Local parts and domains are compared
    without regard to case, and ``user+tag`` belongs to ``user`` (RFC 5233) unless that very name is a user."""

    def __init__(self, settings: DirectorySettings, names: Names | None = None) -> None:
        self._names = names or NoNames()
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

    @property
    def version(self) -> int:
        """See `Directory.version`."""
        return self._names.version

    @property
    def first_domain(self) -> str:
        """See `Directory.first_domain`."""
        return self._first or self._names.first_domain

    @property
    def international(self) -> bool:
        """See `Directory.international`."""
        return self._international or self._names.international

    def local_domain(self, domain: str) -> bool:
        """See `Directory.local_domain`."""
        return self._served(self._canonical(domain))

    def lookup(self, local: str, domain: str) -> Account | None:
        """See `Directory.lookup`."""
        name, home = canonical_local(local), self._canonical(domain)
        if not home and name == POSTMASTER:
            home = self.first_domain
        if not name or not self._served(home):
            return None
        base = name.partition(SUB_ADDRESS)[0] or name
        known = self._has_user(name, home)
        if base == POSTMASTER and not known:
            return self._postmaster_of(home)
        if known:
            return Account(f"{name}@{home}")
        if (self._create and home in self._domains) or (base != name and self._has_user(base, home)):
            return Account(f"{base}@{home}")
        return None

    def alias(self, local: str, domain: str) -> Sequence[str] | None:
        """See `Directory.alias`."""
        return self._names.alias(local, domain)

    def quota(self, mailbox: str) -> int:
        """See `Directory.quota`."""
        return self._names.quota(mailbox)

    def may_send(self, identity: Identity, local: str, domain: str) -> bool:
        """See `Directory.may_send`."""
        name, home = canonical_local(local), canonical_domain(domain)
        if not name or not home:
            return False
        login = identity.login
        account = self.lookup(name, home)
        if account is not None and account.mailbox == login:
            return True
        base = name.partition(SUB_ADDRESS)[0] or name
        if f"{name}@{home}" == login or (account is None and f"{base}@{home}" == login):
            return True  # of a domain whose mail ends elsewhere
        wanted = {f"{name}@{home}", f"@{home}", ANY_SENDER}
        return not wanted.isdisjoint(identity.senders) or not wanted.isdisjoint(self._names.senders(login))

    def disabled(self, login: str) -> bool:
        """See `Directory.disabled`."""
        return self._names.disabled(login)

    def _served(self, home: str) -> bool:
        return home in self._domains or self._names.has_domain(home)

    def _has_user(self, name: str, home: str) -> bool:
        return (name, home) in self._users or self._names.has_user(name, home)

    def _canonical(self, domain: str) -> str:
        return canonical_domain(domain) if domain.isascii() or self.international else domain

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
