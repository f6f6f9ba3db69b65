"""``fastsmtp check``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastsmtp.cli import exits
from fastsmtp.cli.options import Stop, json_option, settings_from, settings_option

if TYPE_CHECKING:
    from fastsmtp.process.settings import Settings


@click.command("check")
@settings_option("Settings file (TOML) to check. Without it: the built-in default.")
@json_option()
def command(file: Path | None, as_json: bool) -> int:
    """Check settings and whether this machine can run with them; starts nothing.

    Exit code 78 when something is wrong, each fault on a line of its own.

    \b
    Example:
      fastsmtp check -c /etc/fastsmtp.toml
    """
    try:
        settings = settings_from(file)
    except Stop as stop:
        if not as_json:
            raise
        click.echo(json.dumps({"good": False, "problems": list(stop.lines)}, indent=2))
        return exits.CONFIG
    facts = summary(settings)
    if as_json:
        click.echo(json.dumps({"good": True, **facts}, indent=2))
        return exits.OK
    click.echo("settings are good")
    for name, value in facts.items():
        text = ", ".join(value) if isinstance(value, list) else value
        click.echo(f"  {name.replace('_', ' '):<11}{text}")
    return exits.OK


def summary(settings: "Settings") -> dict[str, Any]:
    """What the settings come to, in few words."""
    mailboxes = settings.mailboxes
    return {
        "hostname": settings.hostname,
        "listens_on": [f"{one.protocol} {one.endpoint}" for one in settings.listeners],
        "domains": list(mailboxes.domains),
        "users": "any" if mailboxes.unknown_users == "create" else str(len(mailboxes.users)),
        "mail_goes": mailboxes.path,
        "data_dir": str(settings.data_dir),
        "workers": settings.workers,
        "durability": settings.durability,
    }
