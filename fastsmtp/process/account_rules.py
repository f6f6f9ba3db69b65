"""What the settings say of a change of the embedded accounts, whether a command makes it or the running server: each
function is one change as a whole, or raises `ManageError` with a line that says why not."""

from collections.abc import Sequence

from fastsmtp.accounts import manage
from fastsmtp.accounts.base import Names
from fastsmtp.accounts.embedded import EmbeddedAccounts, User
from fastsmtp.accounts.manage import ManageError
from fastsmtp.accounts.names import canonical_domain
from fastsmtp.mail.reply import Reply
from fastsmtp.process.settings import Settings, routing_of
from fastsmtp.routing.aliases import alias_of
from fastsmtp.routing.relay import RelayRules


def check_new_account(settings: Settings, accounts: EmbeddedAccounts, login: str) -> None:
    """Whether an account of that canonical login may be made."""
    if accounts.user(login) is not None:
        raise ManageError(f"{login} exists; fastsmtp user passwd {login} gives it another password")
    if "{domain}" in settings.mailboxes.path:
        return
    local, _, domain = login.rpartition("@")
    for other in [*accounts.users(), *settings.mailboxes.users]:
        name, at, home = other.lower().rpartition("@")
        if at and name == local and home != domain:
            raise ManageError(
                f"{login} and {other} would share one mailbox, as mailboxes.path lacks {{domain}}; add it there"
            )


def add_account(
    settings: Settings,
    accounts: EmbeddedAccounts,
    login: str,
    password: bytes,
    *,
    quota: int = 0,
    senders: tuple[str, ...] = (),
) -> bool:
    """Make the account, and its domain when that is new; whether it was. Takes long. Raises ValueError for what
    cannot be a password, and `HashError`."""
    check_new_account(settings, accounts, login)
    domain = login.rpartition("@")[2]
    known = _domains(settings)
    if RelayRules(settings.relay).covers(domain):
        known.add(domain)
    user = manage.with_password(User("", quota, senders=senders), password, settings.accounts)
    return manage.add_user(accounts, login, user, known=known)


def add_domain(settings: Settings, accounts: EmbeddedAccounts, domain: str) -> None:
    """Take mail for ``domain``."""
    if domain in _domains(settings):
        raise ManageError(f"{domain} stands in mailboxes.domains already")
    if RelayRules(settings.relay).covers(domain):
        raise ManageError(f"{domain} is among relay.domains: its mail ends elsewhere")
    if not accounts.change(lambda change: change.put_domain(domain)):
        raise ManageError(f"{domain} is there already")


def remove_domain(settings: Settings, accounts: EmbeddedAccounts, domain: str) -> None:
    """Take mail for ``domain`` no more."""
    if domain in _domains(settings):
        raise ManageError(f"{domain} stands in mailboxes.domains; remove it there")
    manage.remove_domain(accounts, domain)


def domains(settings: Settings, accounts: EmbeddedAccounts) -> dict[str, str]:
    """All domains in their order, and where each stands: ``settings`` or ``accounts``."""
    found = dict.fromkeys(accounts.domains(), "accounts")
    found |= dict.fromkeys(_domains(settings), "settings")
    return {domain: found[domain] for domain in sorted(found)}


def add_to_alias(
    settings: Settings, accounts: EmbeddedAccounts, alias: str, addresses: Sequence[str]
) -> tuple[str, ...]:
    """Have ``alias`` stand for ``addresses`` too; returns all that it stands for now."""
    before = accounts.aliases()
    together = {**before, alias: tuple(dict.fromkeys([*before.get(alias, ()), *addresses]))}
    problem = _alias_problem(settings, accounts, together, alias)
    if problem:
        raise ManageError(problem)
    return manage.add_to_alias(accounts, alias, addresses)


def _domains(settings: Settings) -> set[str]:
    return {canonical_domain(one) for one in settings.mailboxes.domains}


class _Planned:
    """`Names` as they would be with other ``aliases``."""

    def __init__(self, names: Names, aliases: dict[str, tuple[str, ...]]) -> None:
        self._aliases = aliases
        self.version = names.version
        self.first_domain = names.first_domain
        self.international = names.international
        self.has_domain = names.has_domain
        self.has_user = names.has_user
        self.quota = names.quota
        self.senders = names.senders
        self.disabled = names.disabled

    def alias(self, local: str, domain: str) -> Sequence[str] | None:
        """See `Names.alias`."""
        return self._aliases.get(f"{local}@{domain}")


def _alias_problem(
    settings: Settings, names: Names, aliases: dict[str, tuple[str, ...]], alias: str
) -> str | None:
    """Why mail for ``alias`` would be refused, if it were one of ``aliases``."""
    tables = routing_of(settings, names=_Planned(names, aliases))
    local, _, domain = alias.rpartition("@")
    if not tables.served(domain):
        return f"{domain} is none of our domains; fastsmtp domain add {domain} makes it one"
    written = tables.aliases.named(local, domain) if local else tables.aliases.catch_all(domain)
    if written is not None:
        return f"{alias} stands in the settings file, under {written.place}; change it there"
    try:
        planned = alias_of("", aliases[alias], catch_all=not local, owner=None)
    except ValueError:
        return "only an alias @domain can stand for another @domain"
    for member in planned.members:
        if member.local is not None:
            itself = tables.canonical(member.local, member.domain) == (local, domain)
            look = tables.place if itself else tables.resolve
            found = look(member.local, member.domain)
            if isinstance(found, Reply):
                return f"{member}: {' '.join(found.text)}"
    return None
