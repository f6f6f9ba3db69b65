"""``fastsmtp alias``."""

import json
import os
from pathlib import Path

import click

from fastsmtp.cli.accounts_run import managed
from fastsmtp.cli.options import json_option, settings_option
from fastsmtp.cli.parsed import Parsed
from fastsmtp.routing.account_words import parse_alias

ALIAS = Parsed("ALIAS", parse_alias)
ADDRESS = Parsed("ADDRESS", parse_alias)


@click.group("alias")
def command() -> None:
    """Keep addresses that stand for others, beside those of the settings file.

    The server may run or not; a change counts at once, in all its workers.

    \b
    Examples:
      fastsmtp alias add info@example.org alice@example.org -c /etc/fastsmtp/fastsmtp.toml
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
      fastsmtp alias add info@example.org alice@example.org bob@far.example -c /etc/fastsmtp/fastsmtp.toml
      fastsmtp alias add @example.org alice@example.org
    """
    from fastsmtp.process.account_rules import add_to_alias

    with managed(file) as (settings, accounts):
        members = add_to_alias(settings, accounts, alias, addresses)
    click.echo(f"{alias} stands for {', '.join(members)}")
    return os.EX_OK


@command.command("ls")
@settings_option()
@json_option()
def ls(file: Path | None, as_json: bool) -> int:
    """List the aliases, without those of the settings file.

    \b
    Examples:
      fastsmtp alias ls -c /etc/fastsmtp/fastsmtp.toml
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
      fastsmtp alias rm info@example.org -c /etc/fastsmtp/fastsmtp.toml
      fastsmtp alias rm info@example.org bob@far.example
    """
    from fastsmtp.accounts import manage

    with managed(file) as (_, accounts):
        left = manage.remove_from_alias(accounts, alias, addresses)
    click.echo(f"{alias} stands for {', '.join(left)}" if left else f"alias {alias} removed")
    return os.EX_OK
