"""The embedded accounts as a worker's control socket changes them."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec

from fastsmtp.accounts import manage
from fastsmtp.accounts.base import AccountsError, Names
from fastsmtp.accounts.embedded import EmbeddedAccounts, User
from fastsmtp.accounts.hashing import HashError
from fastsmtp.accounts.manage import ManageError, NoSuch, no_such
from fastsmtp.control.accounts import (
    AliasRow,
    Changing,
    DomainRow,
    Members,
    NewPassword,
    NewUser,
    Page,
    UserRow,
)
from fastsmtp.control.server import Refused
from fastsmtp.process import account_rules
from fastsmtp.process.settings import Settings
from fastsmtp.routing.account_words import parse_alias, parse_domain, parse_login, parse_sender

T = TypeVar("T")


class EmbeddedDesk:
    """An `AccountDesk`; ``names`` are those of the worker's backend, which may be another one."""

    def __init__(self, settings: Settings, names: Names) -> None:
        self._settings = settings
        self._names = names
        # One change at a time, so that a worker's threads do not all wait for LMDB's one writer.
        self._turn = asyncio.Lock()

    async def users(self, page: Page) -> list[UserRow]:
        """See `AccountDesk.users`."""

        def look(accounts: EmbeddedAccounts) -> list[UserRow]:
            found = accounts.users(page.after, page.limit)
            return [_row(login, user) for login, user in found.items()]

        return await self._done(look)

    async def user(self, login: str) -> UserRow:
        """See `AccountDesk.user`."""
        return await self._done(lambda accounts: _shown(accounts, parse_login(login)))

    async def add(self, new: NewUser) -> UserRow:
        """See `AccountDesk.add`."""

        def add(accounts: EmbeddedAccounts) -> UserRow:
            login = parse_login(new.login)
            account_rules.add_account(
                self._settings,
                accounts,
                login,
                new.password.encode("utf-8", "surrogateescape"),
                quota=new.quota,
                senders=_senders(new.senders),
            )
            return _shown(accounts, login)

        return await self._changed(add)

    async def change(self, asked: Changing) -> UserRow:
        """See `AccountDesk.change`."""

        def change(accounts: EmbeddedAccounts) -> UserRow:
            login, wanted = parse_login(asked.login), asked.change
            values = {
                name: value
                for name in wanted.__struct_fields__
                if (value := getattr(wanted, name)) is not msgspec.UNSET
            }
            if "senders" in values:
                values["senders"] = _senders(values["senders"])
            manage.change_user(accounts, login, **values)
            return _shown(accounts, login)

        return await self._changed(change)

    async def passwd(self, asked: NewPassword) -> None:
        """See `AccountDesk.passwd`."""

        def passwd(accounts: EmbeddedAccounts) -> None:
            password = asked.password.encode("utf-8", "surrogateescape")
            manage.set_password(accounts, parse_login(asked.login), password, self._settings.accounts)

        await self._changed(passwd)

    async def remove(self, login: str) -> list[str]:
        """See `AccountDesk.remove`."""
        return await self._changed(lambda accounts: manage.remove_user(accounts, parse_login(login)))

    async def domains(self, argument: None) -> list[DomainRow]:
        """See `AccountDesk.domains`."""
        found = await self._done(lambda accounts: account_rules.domains(self._settings, accounts))
        return [DomainRow(domain=domain, place=place) for domain, place in found.items()]

    async def domain_add(self, domain: str) -> None:
        """See `AccountDesk.domain_add`."""
        await self._changed(
            lambda accounts: account_rules.add_domain(self._settings, accounts, parse_domain(domain))
        )

    async def domain_remove(self, domain: str) -> None:
        """See `AccountDesk.domain_remove`."""
        await self._changed(
            lambda accounts: account_rules.remove_domain(self._settings, accounts, parse_domain(domain))
        )

    async def aliases(self, page: Page) -> list[AliasRow]:
        """See `AccountDesk.aliases`."""

        def look(accounts: EmbeddedAccounts) -> list[AliasRow]:
            found = accounts.aliases(page.after, page.limit)
            return [AliasRow(alias=alias, addresses=members) for alias, members in found.items()]

        return await self._done(look)

    async def alias_add(self, asked: Members) -> AliasRow:
        """See `AccountDesk.alias_add`."""

        def add(accounts: EmbeddedAccounts) -> AliasRow:
            alias, members = parse_alias(asked.alias), [parse_alias(one) for one in asked.addresses]
            return AliasRow(
                alias=alias, addresses=account_rules.add_to_alias(self._settings, accounts, alias, members)
            )

        return await self._changed(add)

    async def alias_remove(self, asked: Members) -> AliasRow:
        """See `AccountDesk.alias_remove`."""

        def remove(accounts: EmbeddedAccounts) -> AliasRow:
            alias, members = parse_alias(asked.alias), [parse_alias(one) for one in asked.addresses]
            return AliasRow(alias=alias, addresses=manage.remove_from_alias(accounts, alias, members))

        return await self._changed(remove)

    async def _changed(self, work: Callable[[EmbeddedAccounts], T]) -> T:
        async with self._turn:
            return await self._done(work)

    async def _done(self, work: Callable[[EmbeddedAccounts], T]) -> T:
        accounts = self._names
        if not isinstance(accounts, EmbeddedAccounts):
            backend = self._settings.accounts.backend
            raise Refused(
                "impossible", f'accounts.backend is "{backend}"; only accounts of "embedded" are kept here'
            )
        try:
            return await asyncio.to_thread(work, accounts)
        except NoSuch as error:
            raise Refused("missing", str(error)) from None
        except (ManageError, ValueError) as error:
            raise Refused("impossible", str(error)) from None
        except (AccountsError, HashError) as error:
            raise Refused("failed", str(error)) from None


def _row(login: str, user: User, aliases: tuple[str, ...] = ()) -> UserRow:
    return UserRow(
        login=login,
        disabled=user.disabled,
        quota=user.quota,
        senders=user.senders,
        scram=bool(user.iterations),
        aliases=aliases,
    )


def _shown(accounts: EmbeddedAccounts, login: str) -> UserRow:
    user = accounts.user(login)
    if user is None:
        raise no_such(login)
    return _row(login, user, tuple(name for name, members in accounts.aliases().items() if login in members))


def _senders(senders: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(parse_sender, senders)))
