"""``fastsmtp domain``."""

import json
import os
from pathlib import Path

import click

from fastsmtp.cli.accounts_run import managed
from fastsmtp.cli.options import json_option, settings_option
from fastsmtp.cli.parsed import Parsed
from fastsmtp.routing.account_words import parse_domain

DOMAIN = Parsed("DOMAIN", parse_domain)


@click.group("domain")
def command() -> None:
    """Keep the domains whose mail ends here, beside those of the settings file.

    The server may run or not; a change counts at once, in all its workers.

    \b
    Examples:
      fastsmtp domain add example.org -c /etc/fastsmtp/fastsmtp.toml
      fastsmtp domain ls
    """


@command.command("add")
@click.argument("domain", type=DOMAIN)
@settings_option()
def add(domain: str, file: Path | None) -> int:
    """Take mail for DOMAIN from now on.

    \b
    Example:
      fastsmtp domain add example.org -c /etc/fastsmtp/fastsmtp.toml
    """
    from fastsmtp.process.account_rules import add_domain

    with managed(file) as (settings, accounts):
        add_domain(settings, accounts, domain)
    click.echo(f"domain {domain} added: mail for it is taken from now on")
    return os.EX_OK


@command.command("ls")
@settings_option()
@json_option()
def ls(file: Path | None, as_json: bool) -> int:
    """List the domains, and where each stands.

    \b
    Examples:
      fastsmtp domain ls -c /etc/fastsmtp/fastsmtp.toml
      fastsmtp domain ls --json | jq -r '.[].domain'
    """
    from fastsmtp.process.account_rules import domains

    with managed(file) as (settings, accounts):
        found = domains(settings, accounts)
    rows = [{"domain": domain, "place": place} for domain, place in found.items()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return os.EX_OK
    width = max(map(len, found), default=0)
    for row in rows:
        place = "  settings file" if row["place"] == "settings" else ""
        click.echo(f"{row['domain']:<{width}}{place}".rstrip())
    return os.EX_OK


@command.command("rm")
@click.argument("domain", type=DOMAIN)
@settings_option()
def rm(domain: str, file: Path | None) -> int:
    """Take mail for DOMAIN no more. Its accounts and aliases must be removed before.

    \b
    Example:
      fastsmtp domain rm example.org -c /etc/fastsmtp/fastsmtp.toml
    """
    from fastsmtp.process.account_rules import remove_domain

    with managed(file) as (settings, accounts):
        remove_domain(settings, accounts, domain)
    click.echo(f"domain {domain} removed")
    return os.EX_OK
