"""The embedded accounts, their domains and aliases, by HTTP."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from fastsmtp.control.accounts import (
    AliasRow,
    Changing,
    DomainRow,
    Limit,
    Members,
    Name,
    Names,
    NewPassword,
    NewUser,
    Page,
    Password,
    UserChange,
    UserRow,
)
from fastsmtp.web.hub import HubApi
from fastsmtp.web.operation import Asked, Operation

_GROUP = "accounts"


class PageQuery(Struct, frozen=True, kw_only=True):
    """Which part of a list."""

    after: Annotated[str, Meta(max_length=1000, description="the last name of the part before")] = ""
    limit: Limit = 100


class UserList(Struct, frozen=True, kw_only=True):
    """Accounts in the order of their logins. ``next``: what `after` is to be for those that follow."""

    accounts: list[UserRow]
    next: str | None = None


class AliasList(Struct, frozen=True, kw_only=True):
    """Aliases in the order of their addresses, without those of the settings. ``next`` as in a list of accounts."""

    aliases: list[AliasRow]
    next: str | None = None


class DomainList(Struct, frozen=True, kw_only=True):
    """Domains in their order."""

    domains: list[DomainRow]


class PasswordSet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new password."""

    password: Password

    def __repr__(self) -> str:
        return "PasswordSet()"


class NewDomain(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A domain whose mail ends here."""

    domain: Name


class NewMembers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Addresses that an alias stands for."""

    addresses: Annotated[Names, Meta(min_length=1)]


class MembersQuery(Struct, frozen=True, kw_only=True):
    """Which addresses; none: all."""

    address: Names = ()


class Removed(Struct, frozen=True, kw_only=True):
    """``aliases`` that still name what was removed."""

    aliases: list[str]


class AccountApi(HubApi):
    """Answers by any worker."""

    def operations(self) -> list[Operation]:
        """What can be asked."""
        user, alias = "/v1/accounts/{login}", "/v1/aliases/{alias}"
        return [
            Operation(method="GET", path="/v1/accounts", name="listAccounts", group=_GROUP,
                      summary="List accounts", handler=self._users, query=PageQuery, answer=UserList,
                      errors=(409,)),
            Operation(method="POST", path="/v1/accounts", name="addAccount", group=_GROUP,
                      summary="Make an account, and its domain when that is new", handler=self._add,
                      body=NewUser, answer=UserRow, status=201, errors=(409,)),
            Operation(method="GET", path=user, name="showAccount", group=_GROUP,
                      summary="Show an account", handler=self._user, answer=UserRow, errors=(404, 409)),
            Operation(method="PATCH", path=user, name="changeAccount", group=_GROUP,
                      summary="Disable, enable, or change quota and senders of an account",
                      handler=self._change, body=UserChange, answer=UserRow, errors=(404, 409)),
            Operation(method="PUT", path=user + "/password", name="setPassword", group=_GROUP,
                      summary="Give an account another password", handler=self._passwd, body=PasswordSet,
                      status=204, errors=(404, 409)),
            Operation(method="DELETE", path=user, name="removeAccount", group=_GROUP,
                      summary="Remove an account; its mail stays", handler=self._remove, answer=Removed,
                      errors=(404, 409)),
            Operation(method="GET", path="/v1/domains", name="listDomains", group=_GROUP,
                      summary="List domains", handler=self._domains, answer=DomainList, errors=(409,)),
            Operation(method="POST", path="/v1/domains", name="addDomain", group=_GROUP,
                      summary="Take mail for a domain", handler=self._domain_add, body=NewDomain, status=204,
                      errors=(409,)),
            Operation(method="DELETE", path="/v1/domains/{domain}", name="removeDomain", group=_GROUP,
                      summary="Take mail for a domain no more", handler=self._domain_remove, status=204,
                      errors=(404, 409)),
            Operation(method="GET", path="/v1/aliases", name="listAliases", group=_GROUP,
                      summary="List aliases", handler=self._aliases, query=PageQuery, answer=AliasList,
                      errors=(409,)),
            Operation(method="POST", path=alias, name="addToAlias", group=_GROUP,
                      summary="Have an alias stand for more addresses", handler=self._alias_add,
                      body=NewMembers, answer=AliasRow, errors=(409,)),
            Operation(method="DELETE", path=alias, name="removeFromAlias", group=_GROUP,
                      summary="Have an alias stand for less, or remove it", handler=self._alias_remove,
                      query=MembersQuery, answer=AliasRow, errors=(404, 409)),
        ]  # fmt: skip

    async def _users(self, asked: Asked) -> UserList:
        query: PageQuery = asked.query
        rows: list[UserRow] = await self._ask("users", Page(query.after, query.limit), list[UserRow])
        return UserList(accounts=rows, next=rows[-1].login if len(rows) == query.limit else None)

    async def _user(self, asked: Asked) -> UserRow:
        found: UserRow = await self._ask("user", asked.path["login"], UserRow)
        return found

    async def _add(self, asked: Asked) -> UserRow:
        made: UserRow = await self._ask("add", asked.body, UserRow)
        return made

    async def _change(self, asked: Asked) -> UserRow:
        changed: UserRow = await self._ask("change", Changing(asked.path["login"], asked.body), UserRow)
        return changed

    async def _passwd(self, asked: Asked) -> None:
        await self._ask("passwd", NewPassword(asked.path["login"], asked.body.password), None)

    async def _remove(self, asked: Asked) -> Removed:
        return Removed(aliases=await self._ask("remove", asked.path["login"], list[str]))

    async def _domains(self, asked: Asked) -> DomainList:
        return DomainList(domains=await self._ask("domains", None, list[DomainRow]))

    async def _domain_add(self, asked: Asked) -> None:
        await self._ask("domain-add", asked.body.domain, None)

    async def _domain_remove(self, asked: Asked) -> None:
        await self._ask("domain-remove", asked.path["domain"], None)

    async def _aliases(self, asked: Asked) -> AliasList:
        query: PageQuery = asked.query
        rows: list[AliasRow] = await self._ask("aliases", Page(query.after, query.limit), list[AliasRow])
        return AliasList(aliases=rows, next=rows[-1].alias if len(rows) == query.limit else None)

    async def _alias_add(self, asked: Asked) -> AliasRow:
        members = Members(asked.path["alias"], asked.body.addresses)
        made: AliasRow = await self._ask("alias-add", members, AliasRow)
        return made

    async def _alias_remove(self, asked: Asked) -> AliasRow:
        members = Members(asked.path["alias"], asked.query.address)
        left: AliasRow = await self._ask("alias-remove", members, AliasRow)
        return left

    async def _ask(self, verb: str, argument: object, form: Any) -> Any:
        return await self._hub.any(f"accounts.{verb}", argument, form)
