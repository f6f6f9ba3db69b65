"""The requests of a control socket that are about the embedded accounts. Any worker answers: all share them.

Verbs: ``accounts.users``, ``accounts.user``, ``accounts.add``, ``accounts.change``, ``accounts.passwd``,
``accounts.remove``, ``accounts.domains``, ``accounts.domain-add``, ``accounts.domain-remove``, ``accounts.aliases``,
``accounts.alias-add``, ``accounts.alias-remove``. Names are as people write them.
"""

from typing import Annotated, Protocol

from msgspec import UNSET, Meta, Struct, UnsetType

from fastsmtp.control.server import ControlServer

Name = Annotated[str, Meta(min_length=1, max_length=1000)]
Names = Annotated[tuple[Name, ...], Meta(max_length=200)]
Password = Annotated[str, Meta(min_length=1, max_length=1000)]
Limit = Annotated[int, Meta(ge=1, le=1000)]
Quota = Annotated[int, Meta(ge=0)]


class Page(Struct, array_like=True):
    """``limit`` rows after that of the name ``after``; empty: from the first on."""

    after: Annotated[str, Meta(max_length=1000)] = ""
    limit: Limit = 1000


class UserRow(Struct, frozen=True, kw_only=True):
    """An account without what is kept of its password. ``quota`` in octets, 0: none; ``scram``: it can log in by
    SCRAM too; ``aliases`` that lead to it are there where one account is asked for."""

    login: str
    disabled: bool = False
    quota: int = 0
    senders: tuple[str, ...] = ()
    scram: bool = False
    aliases: tuple[str, ...] = ()


class DomainRow(Struct, frozen=True, kw_only=True):
    """``place``: ``settings`` or ``accounts``."""

    domain: str
    place: str


class AliasRow(Struct, frozen=True, kw_only=True):
    """An address and what it stands for."""

    alias: str
    addresses: tuple[str, ...]


class NewUser(Struct, kw_only=True, forbid_unknown_fields=True):
    """An account to be made."""

    login: Name
    password: Password
    quota: Quota = 0
    senders: Names = ()

    def __repr__(self) -> str:
        return f"NewUser(login={self.login!r})"


class UserChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to be different from now on."""

    disabled: bool | UnsetType = UNSET
    quota: Quota | UnsetType = UNSET
    senders: Names | UnsetType = UNSET


class Changing(Struct, array_like=True):
    """Of ``accounts.change``."""

    login: Name
    change: UserChange


class NewPassword(Struct, array_like=True):
    """Of ``accounts.passwd``."""

    login: Name
    password: Password

    def __repr__(self) -> str:
        return f"NewPassword(login={self.login!r})"


class Members(Struct, array_like=True):
    """Of ``accounts.alias-add`` and ``accounts.alias-remove``; the latter without addresses: all."""

    alias: Name
    addresses: Names = ()


class AccountDesk(Protocol):
    """The embedded accounts. Called on the loop; what takes long is done elsewhere. Each call may raise `Refused`:
    ``impossible`` for what the accounts do not allow, ``missing`` for what is not there."""

    async def users(self, page: Page) -> list[UserRow]:
        """Accounts in the order of their logins."""

    async def user(self, login: str) -> UserRow:
        """One account."""

    async def add(self, new: NewUser) -> UserRow:
        """Make an account, and its domain when that is new."""

    async def change(self, asked: Changing) -> UserRow:
        """Give an account other values."""

    async def passwd(self, asked: NewPassword) -> None:
        """Give an account another password."""

    async def remove(self, login: str) -> list[str]:
        """Remove an account; the aliases that still name it."""

    async def domains(self, argument: None) -> list[DomainRow]:
        """All domains in their order."""

    async def domain_add(self, domain: str) -> None:
        """Take mail for a domain."""

    async def domain_remove(self, domain: str) -> None:
        """Take mail for a domain no more."""

    async def aliases(self, page: Page) -> list[AliasRow]:
        """Aliases in the order of their addresses, without those of the settings."""

    async def alias_add(self, asked: Members) -> AliasRow:
        """Have an alias stand for more; what it stands for now."""

    async def alias_remove(self, asked: Members) -> AliasRow:
        """Have an alias stand for less; what it stands for now, and it is gone when that is nothing."""


def register(server: ControlServer, desk: AccountDesk) -> None:
    """Let ``server`` answer these verbs by ``desk``."""
    server.register("accounts.users", Page, desk.users)
    server.register("accounts.user", Name, desk.user)
    server.register("accounts.add", NewUser, desk.add)
    server.register("accounts.change", Changing, desk.change)
    server.register("accounts.passwd", NewPassword, desk.passwd)
    server.register("accounts.remove", Name, desk.remove)
    server.register("accounts.domains", type(None), desk.domains)
    server.register("accounts.domain-add", Name, desk.domain_add)
    server.register("accounts.domain-remove", Name, desk.domain_remove)
    server.register("accounts.aliases", Page, desk.aliases)
    server.register("accounts.alias-add", Members, desk.alias_add)
    server.register("accounts.alias-remove", Members, desk.alias_remove)
