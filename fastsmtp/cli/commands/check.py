"""``fastsmtp check``."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastsmtp.cli.options import Stop, json_option, settings_from, settings_option

if TYPE_CHECKING:
    from fastsmtp.process.settings import Settings


@click.command("check")
@settings_option("Settings file (TOML) to check. Without it: the built-in default.")
@json_option()
def command(file: Path | None, as_json: bool) -> int:
    """Check settings and whether this machine can run with them; starts nothing.

    Exit code 78 when something is wrong, each fault on a line of its own. What is allowed but hardly meant, or
    wrong only now, is a note.

    \b
    Example:
      fastsmtp check -c /etc/fastsmtp/fastsmtp.toml
    """
    try:
        settings = settings_from(file)
        notes = _notes(settings, file)
    except Stop as stop:
        if not as_json:
            raise
        click.echo(json.dumps({"good": False, "problems": list(stop.lines)}, indent=2))
        return os.EX_CONFIG
    facts = summary(settings)
    if as_json:
        click.echo(json.dumps({"good": True, **facts, "notes": notes}, indent=2))
        return os.EX_OK
    click.echo("settings are good, but read the notes" if notes else "settings are good")
    for name, value in facts.items():
        between = "\n" + " " * 13 if name == "limits" else ", "
        text = (between.join(value) or "none") if isinstance(value, list) else value
        click.echo(f"  {name.replace('_', ' '):<11}{text}")
    for note in notes:
        click.echo(f"note: {note}")
    return os.EX_OK


def _notes(settings: "Settings", file: Path | None) -> list[str]:
    """What does not keep the server from running, and yet should be known; ends the program when the addresses
    are not this machine's."""
    from fastsmtp.clock import SystemClock
    from fastsmtp.process.machine import listener_problems, maildrop_notes, pressure_notes, tls_notes

    problems, notes = listener_problems(settings)
    if problems:
        raise Stop(os.EX_CONFIG, *(f"{file}: {problem}" if file else problem for problem in problems))
    notes += pressure_notes(settings)
    notes += maildrop_notes(settings)
    notes += tls_notes(settings.tls, SystemClock().now())
    mailboxes = settings.mailboxes
    if settings.accounts.backend != "static":
        return notes
    if not mailboxes.domains:
        notes.insert(0, "mailboxes.domains is empty: all mail is refused")
    elif mailboxes.unknown_users == "reject" and not mailboxes.users:
        notes.insert(0, "mailboxes.users is empty: all mail but postmaster's is refused")
    return notes


def summary(settings: "Settings") -> dict[str, Any]:
    """What the settings come to, in few words."""
    from fastsmtp.limits.rule_settings import rules_in_force
    from fastsmtp.process.settings import names_of

    mailboxes = settings.mailboxes
    domains, users = names_of(mailboxes)
    backend = settings.accounts.backend
    count = str(len(users)) if backend == "static" else f"{len(users)} here, others in accounts ({backend})"
    return {
        "hostname": settings.hostname,
        "listens_on": [f"{one.protocol} {one.endpoint}" for one in settings.listeners],
        "domains": domains,
        "users": "any" if mailboxes.unknown_users == "create" else count,
        "mail_goes": mailboxes.path,
        "data_dir": str(settings.data_dir),
        "workers": settings.workers,
        "durability": settings.durability,
        "limits": [rule.words() for rule in rules_in_force(settings.limits.rules)],
    }
