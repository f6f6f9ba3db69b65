"""``fastsmtp alias``."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastsmtp.cli.accounts_run import managed
from fastsmtp.cli.options import Stop, json_option, settings_option
from fastsmtp.cli.parsed import Parsed
from fastsmtp.routing.account_words import parse_alias

if TYPE_CHECKING:
    from fastsmtp.accounts.base import Names
    from fastsmtp.process.settings import Settings

ALIAS = Parsed("ALIAS", parse_alias)
ADDRESS = Parsed("ADDRESS", parse_alias)


@click.group("alias")
def command() -> None:
    """Keep addresses that stand for others, beside those of the settings file.

    The server may run or not; a change counts at once, in all its workers.

    \b
    Examples:
      fastsmtp alias add info@example.org alice@example.org -c /etc/fastsmtp.toml
      fastsmtp alias ls
    """


@command.command("add")
@click.argument("alias", type=ALIAS)
@click.argument("addresses", type=ADDRESS, nargs=-1, required=True)
@settings_option()
def add(alias: str, addresses: tuple[str, ...], file: Path | None) -> int:
    """Have ALIAS stand for ADDRESSES too, here or elsewhere.

    An alias @domain catches what nobody else receives there. An alias that names itself keeps a copy.

    \b
    Examples:
      fastsmtp alias add info@example.org alice@example.org bob@far.example -c /etc/fastsmtp.toml
      fastsmtp alias add @example.org alice@example.org
    """
    from fastsmtp.accounts import manage

    with managed(file) as (settings, accounts):
        before = accounts.aliases()
        together = {**before, alias: tuple(dict.fromkeys([*before.get(alias, ()), *addresses]))}
        problem = _problem(settings, accounts, together, alias)
        if problem:
            raise Stop(os.EX_DATAERR, problem)
        members = manage.add_to_alias(accounts, alias, addresses)
    click.echo(f"{alias} stands for {', '.join(members)}")
    return os.EX_OK


@command.command("ls")
@settings_option()
@json_option()
def ls(file: Path | None, as_json: bool) -> int:
    """List the aliases, without those of the settings file.

    \b
    Examples:
      fastsmtp alias ls -c /etc/fastsmtp.toml
      fastsmtp alias ls --json
    """
    with managed(file) as (_, accounts):
        found = accounts.aliases()
    if as_json:
        rows = [{"alias": alias, "addresses": list(members)} for alias, members in found.items()]
        click.echo(json.dumps(rows, indent=2))
        return os.EX_OK
    width = max(map(len, found), default=0)
    for alias, members in found.items():
        click.echo(f"{alias:<{width}}  {', '.join(members)}")
    return os.EX_OK


@command.command("rm")
@click.argument("alias", type=ALIAS)
@click.argument("addresses", type=ADDRESS, nargs=-1)
@settings_option()
def rm(alias: str, addresses: tuple[str, ...], file: Path | None) -> int:
    """Remove ALIAS, or only ADDRESSES from it.

    \b
    Examples:
      fastsmtp alias rm info@example.org -c /etc/fastsmtp.toml
      fastsmtp alias rm info@example.org bob@far.example
    """
    from fastsmtp.accounts import manage

    with managed(file) as (_, accounts):
        left = manage.remove_from_alias(accounts, alias, addresses)
    click.echo(f"{alias} stands for {', '.join(left)}" if left else f"alias {alias} removed")
    return os.EX_OK


class _Planned:
    """`Names` as they would be with other ``aliases``."""

    def __init__(self, names: "Names", aliases: dict[str, tuple[str, ...]]) -> None:
        self._aliases = aliases
        self.version = names.version
        self.first_domain = names.first_domain
        self.international = names.international
        self.has_domain = names.has_domain
        self.has_user = names.has_user
        self.senders = names.senders
        self.disabled = names.disabled

    def alias(self, local: str, domain: str) -> Sequence[str] | None:
        """See `Names.alias`."""
        return self._aliases.get(f"{local}@{domain}")


def _problem(
    settings: "Settings", names: "Names", aliases: dict[str, tuple[str, ...]], alias: str
) -> str | None:
    """Why mail for ``alias`` would be refused, if it were one of ``aliases``."""
    from fastsmtp.mail.reply import Reply
    from fastsmtp.process.settings import routing_of
    from fastsmtp.routing.aliases import alias_of

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
