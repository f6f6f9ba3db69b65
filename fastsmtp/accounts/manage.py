"""What is done to embedded accounts by hand: each function is one change as a whole, or a line that says why not."""

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from fastsmtp.accounts.embedded import Change, EmbeddedAccounts, User
from fastsmtp.accounts.hashing import make_hash
from fastsmtp.accounts.passwords import prepared
from fastsmtp.accounts.scram_keys import derive
from fastsmtp.accounts.settings import AccountSettings

_MOST_SHOWN = 5


class ManageError(Exception):
    """What was asked for cannot be done; the text is one line for the person who asked."""


class NoSuch(ManageError):
    """What it was asked of does not exist."""


def with_password(user: User, password: bytes, settings: AccountSettings) -> User:
    """``user`` with another password. Takes long. Raises ValueError when ``password`` cannot be one, `HashError`."""
    octets = prepared(password)
    changed = replace(
        user,
        password=make_hash(octets, settings.hash),
        salt=b"",
        iterations=0,
        stored_key=b"",
        server_key=b"",
    )
    if not settings.scram_iterations:
        return changed
    keys = derive(octets, settings.scram_iterations)
    return replace(
        changed,
        salt=keys.salt,
        iterations=keys.iterations,
        stored_key=keys.stored_key,
        server_key=keys.server_key,
    )


def add_user(accounts: EmbeddedAccounts, login: str, user: User, *, known: Collection[str]) -> bool:
    """Make the account; and its domain, unless that is among those that are ``known``. Whether it had to. Raises
    `ManageError` when there is one already."""
    domain = login.rpartition("@")[2]

    def add(change: Change) -> bool:
        if change.user(login) is not None:
            raise ManageError(f"{login} exists; fastsmtp user passwd {login} gives it another password")
        change.put_user(login, user)
        return domain not in known and change.put_domain(domain)

    return accounts.change(add)


def change_user(accounts: EmbeddedAccounts, login: str, **changes: object) -> None:
    """Give the account other values. Raises `NoSuch`."""

    def put(change: Change) -> None:
        user = change.user(login)
        if user is None:
            raise no_such(login)
        change.put_user(login, replace(user, **changes))

    accounts.change(put)


def set_password(accounts: EmbeddedAccounts, login: str, password: bytes, settings: AccountSettings) -> None:
    """Raises `NoSuch`, and what `with_password` raises."""
    if accounts.user(login) is None:
        raise no_such(login)
    made = with_password(User(""), password, settings)
    change_user(
        accounts,
        login,
        password=made.password,
        salt=made.salt,
        iterations=made.iterations,
        stored_key=made.stored_key,
        server_key=made.server_key,
    )


def remove_user(accounts: EmbeddedAccounts, login: str) -> list[str]:
    """Remove the account; returns the aliases that still name it. Raises `NoSuch`."""
    if not accounts.change(lambda change: change.remove_user(login)):
        raise no_such(login)
    return [name for name, members in accounts.aliases().items() if login in members]


def remove_domain(accounts: EmbeddedAccounts, domain: str) -> None:
    """Raises `NoSuch`, and `ManageError` while somebody is in it."""

    def remove(change: Change) -> None:
        users, aliases = change.in_domain(domain)
        if users or aliases:
            raise ManageError(f"{domain} still has {_some([*users, *aliases])}; remove them first")
        if not change.remove_domain(domain):
            raise NoSuch(f"there is no domain {domain}; fastsmtp domain ls shows those that are")

    accounts.change(remove)


def add_to_alias(accounts: EmbeddedAccounts, name: str, members: Sequence[str]) -> tuple[str, ...]:
    """Have ``name`` stand for ``members`` too; returns all that it stands for now."""

    def add(change: Change) -> tuple[str, ...]:
        together = tuple(dict.fromkeys([*(change.alias(name) or ()), *members]))
        change.put_alias(name, together)
        return together

    return accounts.change(add)


def remove_from_alias(accounts: EmbeddedAccounts, name: str, members: Sequence[str]) -> tuple[str, ...]:
    """Have ``name`` stand for ``members`` no more, or without any for nobody; returns what is left, and removes the
    alias when that is nothing. Raises `NoSuch`."""

    def remove(change: Change) -> tuple[str, ...]:
        before = change.alias(name)
        if before is None:
            raise NoSuch(f"there is no alias {name}; fastsmtp alias ls shows those that are")
        strange = [member for member in members if member not in before]
        if strange:
            raise NoSuch(f"{name} does not stand for {_some(strange)}")
        left = tuple(member for member in before if members and member not in members)
        if left:
            change.put_alias(name, left)
        else:
            change.remove_alias(name)
        return left

    return accounts.change(remove)


def no_such(login: str) -> NoSuch:
    """Nobody has this login."""
    return NoSuch(f"there is no account {login}; fastsmtp user ls shows those that are")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_SHOWN])
    return shown if len(names) <= _MOST_SHOWN else f"{shown} and {len(names) - _MOST_SHOWN} more"
