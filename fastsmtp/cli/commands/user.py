"""``fastsmtp user``."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastsmtp.cli.accounts_run import (
    managed,
    parse_size,
    password_option,
    read_password,
    size_text,
)
from fastsmtp.cli.options import json_option, settings_option
from fastsmtp.cli.parsed import Parsed
from fastsmtp.routing.account_words import parse_login, parse_sender

if TYPE_CHECKING:
    from fastsmtp.accounts.embedded import User

LOGIN = Parsed("LOGIN", parse_login)
SIZE = Parsed("SIZE", parse_size)
SENDER = Parsed("ADDRESS", parse_sender)


@click.group("user")
def command() -> None:
    """Keep the accounts of the embedded database.

    The server may run or not; a change counts at once, in all its workers. A password is asked for, or read from
    standard input.

    \b
    Examples:
      fastsmtp user add alice@example.org -c /etc/fastsmtp/fastsmtp.toml
      echo secret | fastsmtp user passwd alice@example.org --password-stdin -c /etc/fastsmtp/fastsmtp.toml
      fastsmtp user ls --json
    """


@command.command("add")
@click.argument("login", type=LOGIN)
@password_option()
@click.option(
    "--quota", type=SIZE, default="none", help="Bytes that its mailbox may hold, such as 2G; none: no end."
)
@click.option(
    "--sender",
    "senders",
    type=SENDER,
    multiple=True,
    help="One more address it may send as; @domain for all of one, * for any. May be repeated.",
)
@settings_option()
def add(login: str, from_stdin: bool, quota: int, senders: tuple[str, ...], file: Path | None) -> int:
    """Make the account LOGIN, and its domain when that is new.

    \b
    Examples:
      fastsmtp user add alice@example.org -c /etc/fastsmtp/fastsmtp.toml
      echo secret | fastsmtp user add bob@example.org --password-stdin --quota 2G -c /etc/fastsmtp/fastsmtp.toml
      fastsmtp user add shop@example.org --sender news@example.org --sender @shop.example
    """
    from fastsmtp.process.account_rules import add_account, check_new_account

    with managed(file) as (settings, accounts):
        check_new_account(settings, accounts, login)
        password = read_password(from_stdin)
        new = add_account(settings, accounts, login, password, quota=quota, senders=senders)
    click.echo(f"account {login} added")
    if new:
        domain = login.rpartition("@")[2]
        click.echo(f"domain {domain} added: mail for it is taken from now on")
    return os.EX_OK


@command.command("ls")
@settings_option()
@json_option()
def ls(file: Path | None, as_json: bool) -> int:
    """List the accounts.

    \b
    Examples:
      fastsmtp user ls -c /etc/fastsmtp/fastsmtp.toml
      fastsmtp user ls --json | jq -r '.[].login'
    """
    with managed(file) as (_, accounts):
        users = accounts.users()
    if as_json:
        click.echo(json.dumps([facts(login, user) for login, user in users.items()], indent=2))
        return os.EX_OK
    width = max(map(len, users), default=0)
    for login, user in users.items():
        click.echo(f"{login:<{width}}  {'disabled' if user.disabled else ''}".rstrip())
    return os.EX_OK


@command.command("show")
@click.argument("login", type=LOGIN)
@settings_option()
@json_option()
def show(login: str, file: Path | None, as_json: bool) -> int:
    """Show one account.

    \b
    Example:
      fastsmtp user show alice@example.org -c /etc/fastsmtp/fastsmtp.toml
    """
    from fastsmtp.accounts.manage import no_such

    with managed(file) as (_, accounts):
        user = accounts.user(login)
        if user is None:
            raise no_such(login)
        aliases = [name for name, members in accounts.aliases().items() if login in members]
    found = {**facts(login, user), "aliases": aliases}
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return os.EX_OK
    for name, value in found.items():
        click.echo(f"{name:<11}{size_text(user.quota) if name == 'quota' else _words(value)}")
    return os.EX_OK


@command.command("rm")
@click.argument("login", type=LOGIN)
@settings_option()
def rm(login: str, file: Path | None) -> int:
    """Remove the account LOGIN. Its mail stays where it is.

    \b
    Example:
      fastsmtp user rm alice@example.org -c /etc/fastsmtp/fastsmtp.toml
    """
    from fastsmtp.accounts import manage

    with managed(file) as (_, accounts):
        aliases = manage.remove_user(accounts, login)
    click.echo(f"account {login} removed")
    for name in aliases:
        click.echo(f"note: the alias {name} still names it", err=True)
    return os.EX_OK


@command.command("passwd")
@click.argument("login", type=LOGIN)
@password_option()
@settings_option()
def passwd(login: str, from_stdin: bool, file: Path | None) -> int:
    """Give the account LOGIN another password.

    \b
    Examples:
      fastsmtp user passwd alice@example.org -c /etc/fastsmtp/fastsmtp.toml
      fastsmtp user passwd alice@example.org --password-stdin -c /etc/fastsmtp/fastsmtp.toml < password
    """
    from fastsmtp.accounts import manage

    with managed(file) as (settings, accounts):
        if accounts.user(login) is None:
            raise manage.no_such(login)
        manage.set_password(accounts, login, read_password(from_stdin), settings.accounts)
    click.echo(f"password of {login} changed")
    return os.EX_OK


@command.command("quota")
@click.argument("login", type=LOGIN)
@click.argument("size", type=SIZE)
@settings_option()
def quota(login: str, size: int, file: Path | None) -> int:
    """Say how much the mailbox of LOGIN may hold: SIZE, or none for no end.

    A mailbox that is full takes no more mail; what its senders are told says mailboxes.full in the settings.

    \b
    Examples:
      fastsmtp user quota alice@example.org 2GiB -c /etc/fastsmtp/fastsmtp.toml
      fastsmtp user quota alice@example.org none -c /etc/fastsmtp/fastsmtp.toml
    """
    _change(file, login, quota=size)
    click.echo(f"quota of {login}: {size_text(size)}")
    return os.EX_OK


@command.command("senders")
@click.argument("login", type=LOGIN)
@click.argument("addresses", type=SENDER, nargs=-1)
@settings_option()
def senders(login: str, addresses: tuple[str, ...], file: Path | None) -> int:
    """Say which ADDRESSES the account LOGIN may send as beside its own and its aliases; without any: none.

    \b
    Examples:
      fastsmtp user senders alice@example.org sales@example.org -c /etc/fastsmtp/fastsmtp.toml
      fastsmtp user senders shop@example.org @shop.example news@example.org
      fastsmtp user senders alice@example.org
    """
    chosen = tuple(dict.fromkeys(addresses))
    _change(file, login, senders=chosen)
    click.echo(f"{login} may send as itself" + "".join(f", {one}" for one in chosen))
    return os.EX_OK


@command.command("disable")
@click.argument("login", type=LOGIN)
@settings_option()
def disable(login: str, file: Path | None) -> int:
    """Let nobody log in as LOGIN, nor send where somebody has. Its mail still comes in.

    \b
    Example:
      fastsmtp user disable alice@example.org -c /etc/fastsmtp/fastsmtp.toml
    """
    _change(file, login, disabled=True)
    click.echo(f"account {login} disabled")
    return os.EX_OK


@command.command("enable")
@click.argument("login", type=LOGIN)
@settings_option()
def enable(login: str, file: Path | None) -> int:
    """Let LOGIN log in again.

    \b
    Example:
      fastsmtp user enable alice@example.org -c /etc/fastsmtp/fastsmtp.toml
    """
    _change(file, login, disabled=False)
    click.echo(f"account {login} enabled")
    return os.EX_OK


def facts(login: str, user: "User") -> dict[str, Any]:
    """An account as plain values, without what is kept of its password."""
    return {
        "login": login,
        "disabled": user.disabled,
        "quota": user.quota,
        "senders": list(user.senders),
        "scram": bool(user.iterations),
    }


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) or "none" if isinstance(value, list) else str(value)


def _change(file: Path | None, login: str, **changes: object) -> None:
    from fastsmtp.accounts import manage

    with managed(file) as (_, accounts):
        manage.change_user(accounts, login, **changes)
