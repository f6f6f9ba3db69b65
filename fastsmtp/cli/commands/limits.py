"""``fastsmtp limits``: who comes up against the limits of a running server."""

import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastsmtp.cli.asking import ask_any
from fastsmtp.cli.json_text import as_json_line
from fastsmtp.cli.options import Stop, json_option, settings_as_they_are, settings_option
from fastsmtp.config.values import Duration
from fastsmtp.mail.result import printable

if TYPE_CHECKING:
    from fastsmtp.limits.standing import Standing

_WHO = {"ip": "address", "account": "account", "sender_domain": "sender's domain"}


@click.group("limits")
def command() -> None:
    """See who comes up against the limits of the running server, and let somebody begin anew.

    \b
    Examples:
      fastsmtp limits ls -c /etc/fastsmtp/fastsmtp.toml
      fastsmtp limits explain 192.0.2.7
      fastsmtp limits reset alice@example.org
    """


@command.command("ls")
@settings_option()
@json_option()
def ls(file: Path | None, as_json: bool) -> int:
    """List who was refused lately, the latest first; a bounded number is remembered.

    \b
    Example:
      fastsmtp limits ls --json
    """
    found = _asked(file, "limits.refused", None)
    if not _as_json(found, as_json):
        for one in found:
            click.echo(_line(one))
        if not found:
            click.echo("nobody was refused by a rule lately", err=True)
    return os.EX_OK


@command.command("explain")
@click.argument("key")
@settings_option()
@json_option()
def explain(key: str, file: Path | None, as_json: bool) -> int:
    """Show how KEY stands before every rule that may concern it: an address (IPv6: its /64), an account, or the
    domain of a sender.

    \b
    Examples:
      fastsmtp limits explain 2001:db8::17
      fastsmtp limits explain alice@example.org
      fastsmtp limits explain far.test
    """
    found = _asked(file, "limits.explain", key)
    if not _as_json(found, as_json):
        for one in found:
            click.echo(_line(one))
        if not found:
            click.echo(f"no rule concerns {printable(key)}; `fastsmtp check` lists the rules", err=True)
    return os.EX_OK


@command.command("reset")
@click.argument("key")
@settings_option()
@json_option()
def reset(key: str, file: Path | None, as_json: bool) -> int:
    """Forget what was counted of KEY: an address (IPv6: its /64), an account, or the domain of a sender.

    Shows how it stood. Exit code 66 when nothing was counted.

    \b
    Example:
      fastsmtp limits reset 192.0.2.7
    """
    found = _asked(file, "limits.reset", key)
    if not _as_json(found, as_json):
        for one in found:
            click.echo(f"forgotten: {_line(one)}")
        if not found:
            click.echo(f"nothing is counted of {printable(key)}", err=True)
    return os.EX_OK if found else os.EX_NOINPUT


def _as_json(found: "list[Standing]", wanted: bool) -> bool:
    if wanted:
        for one in found:
            click.echo(as_json_line(one))
    return wanted


def _line(one: "Standing") -> str:
    what = f"{one.count} of {_WHO[one.per]} {printable(one.key)}: {one.rate}"
    if one.exempt:
        return f"{what}, exempt: never counted"
    left = f"{one.left:,} of {one.most:,} left"
    if one.wait:
        left += f", the next in {_seconds(one.wait)}"
    if one.full_in:
        left += f", all in {_seconds(one.full_in)}"
    if one.refused_at is not None:
        ago = _seconds(max(0.0, time.time() - one.refused_at))
        left += (
            f"; refused once, {ago} ago"
            if one.refused == 1
            else f"; refused {one.refused:,} times, last {ago} ago"
        )
    return f"{what}, {left}"


def _seconds(seconds: float) -> Duration:
    return Duration(math.ceil(seconds))


def _asked(file: Path | None, verb: str, argument: str | None) -> "list[Standing]":
    """What the first worker says that answers. Ends the program when there is none."""
    from fastsmtp.limits.standing import Standing

    settings = settings_as_they_are(file)
    if argument is not None and not 0 < len(argument) <= 400:
        raise Stop(os.EX_USAGE, "KEY is an address, an account or a domain")
    found: list[Standing] = ask_any(
        settings.data_dir, verb, argument, list[Standing], lost="; what is counted is gone with it"
    )
    return found
