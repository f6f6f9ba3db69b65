"""``fastsmtp init``."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastsmtp.cli.accounts_run import managed, password_option, read_password
from fastsmtp.cli.options import Stop
from fastsmtp.cli.parsed import Parsed
from fastsmtp.routing.account_words import parse_domain, parse_login

if TYPE_CHECKING:
    from fastsmtp.process.setup import Plan


def parse_ip(text: str) -> str:
    """An IP address; raises ValueError."""
    from fastsmtp.config.values import parse_ip as parse

    address = parse(text)
    if address is None:
        raise ValueError(f'expected an IP address, got "{text}"')
    return str(address)


def parse_ports(text: str) -> tuple[int, ...]:
    """Three ports, written ``25,587,465``; raises ValueError."""
    parts = text.split(",")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and int(part) < 65_536 for part in parts):
        raise ValueError(f'expected three ports such as "25,587,465", got "{text}"')
    return tuple(map(int, parts))


DOMAIN = Parsed("DOMAIN", parse_domain)
IP = Parsed("IP", parse_ip)
PORTS = Parsed("PORTS", parse_ports)
FILE = click.Path(path_type=Path)


@click.command("init")
@click.argument("domain", type=DOMAIN)
@click.option("--dir", "directory", type=FILE, help="Where it is put.  [default: /etc/fastsmtp]")
@click.option("--hostname", type=DOMAIN, help="Name of this machine in the DNS, such as mx.example.org.")
@click.option("--user", help="User to become after the start; only as root.  [default: fastsmtp]")
@click.option("--account", help="The first account, such as alice; postmaster's mail goes there.")
@password_option()
@click.option(
    "--ip", "addresses", type=IP, multiple=True, help="Public address, for the records. Repeatable."
)
@click.option("--listen", type=IP, multiple=True, help="Address to listen on. Repeatable.  [default: all]")
@click.option(
    "--ports",
    type=PORTS,
    default="25,587,465",
    show_default=True,
    help="Of smtp, submission and submissions.",
)
@click.option("--cert", type=FILE, help="A certificate that is there, for HOSTNAME; else one is made.")
@click.option("--key", type=FILE, help="Its key.")
def command(
    domain: str,
    directory: Path | None,
    hostname: str | None,
    user: str | None,
    account: str | None,
    from_stdin: bool,
    addresses: tuple[str, ...],
    listen: tuple[str, ...],
    ports: tuple[int, ...],
    cert: Path | None,
    key: Path | None,
) -> int:
    """Set up a mail server for DOMAIN: settings, certificate, first account.

    What is not given is asked for when there is a terminal. Nothing is overwritten. Mail is taken from everybody for
    DOMAIN, and for elsewhere from nobody but accounts, by TLS. At the end stand the DNS records to publish.

    \b
    Examples:
      fastsmtp init example.org
      echo secret | fastsmtp init example.org --hostname mx.example.org --ip 192.0.2.1 \\
          --account alice --password-stdin
      fastsmtp init example.org --cert fullchain.pem --key privkey.pem
    """
    from fastsmtp.process.errors import StartError
    from fastsmtp.process.privileges import find_user
    from fastsmtp.process.setup import SYSTEM_DIRECTORY, Plan, in_the_way, make_files, taken_back

    if (cert is None) != (key is None):
        raise Stop(os.EX_USAGE, "--cert and --key go together")
    if user is None and os.geteuid() == 0:
        user = "fastsmtp"
    pair = None if cert is None or key is None else (cert.absolute(), key.absolute())
    place = SYSTEM_DIRECTORY if directory is None else directory.absolute()
    plan = Plan(
        domain=domain,
        hostname=hostname or _asked("Name of this machine in the DNS", f"mx.{domain}"),
        directory=place,
        login=_login(account or _asked("First account", None), domain),
        user=user,
        listen=listen or _everywhere(addresses),
        ports=ports,
        pair=pair,
    )
    try:
        identity = find_user(user)
        taken = in_the_way(plan)
        password = b"" if taken else read_password(from_stdin)
        with taken_back(plan):
            make_files(plan, identity)
            records = _records(plan, addresses)
            _add_account(plan, password)
    except StartError as error:
        raise Stop(error.code, str(error)) from None
    click.echo("\n".join(_told(plan, records)))
    return os.EX_OK


def _asked(what: str, default: str | None) -> str:
    """The answer of the terminal; without one the default, or the end."""
    if sys.stdin.isatty():
        return str(click.prompt(what, default=default, err=True))
    if default is None:
        raise Stop(os.EX_USAGE, "no terminal to ask for the first account; give it with --account")
    return default


def _login(account: str, domain: str) -> str:
    try:
        return parse_login(account if "@" in account else f"{account}@{domain}")
    except ValueError as error:
        raise Stop(os.EX_DATAERR, str(error)) from None


def _everywhere(addresses: Sequence[str]) -> tuple[str, ...]:
    """All addresses of IPv4, and those of IPv6 when there is one to publish."""
    return ("0.0.0.0", "::") if any(":" in one for one in addresses) else ("0.0.0.0",)  # noqa: S104


def _add_account(plan: "Plan", password: bytes) -> None:
    from fastsmtp.accounts import manage
    from fastsmtp.accounts.embedded import User

    with managed(plan.file, for_good=False) as (settings, accounts):
        user = manage.with_password(User(""), password, settings.accounts)
        manage.add_user(accounts, plan.login, user, known={plan.domain})


def _records(plan: "Plan", addresses: Sequence[str]) -> list[str]:
    from fastsmtp.process.dns_records import records, reverse_records, sts_records, tlsa_record

    own, tlsa = plan.pair is not None, tlsa_record(plan.hostname, plan.certificate[0])
    lines = ["DNS records to publish:", "", *records(plan.domain, plan.hostname, addresses), ""]
    if addresses:
        lines += ["and by whoever gave you the addresses, or other servers take you for a spammer:", ""]
        lines += [*reverse_records(plan.hostname, addresses), ""]
    lines += ["when the zone is signed (DNSSEC), and anew with each new key:", "", *tlsa, ""]
    if own:
        lines += [
            "when there is a web server for it (MTA-STS):",
            "",
            *sts_records(plan.domain, plan.hostname),
            "",
        ]
    return lines


def _told(plan: "Plan", records: Sequence[str]) -> list[str]:
    file = shlex.quote(str(plan.file))
    lines = [
        f"settings     {plan.file}",
        f"certificate  {plan.certificate[0]}",
        f"account      {plan.login}",
        f"mail         {plan.state}/mail",
        f"DKIM         {plan.dkim} is for the key; mail is not signed yet",
        "",
        *records,
    ]
    if plan.pair is None:
        lines += [
            "The certificate is self-signed: mail programs will not trust it. Get one for",
            f"{plan.hostname}, by certbot for one, and name it in [tls] of the settings.",
            "",
        ]
    return [*lines, "next:", f"  fastsmtp check -c {file}", f"  fastsmtp serve -c {file}"]
