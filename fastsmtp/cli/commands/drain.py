"""``fastsmtp drain``."""

from pathlib import Path

import click

from fastsmtp.cli.master_run import follow
from fastsmtp.cli.options import json_option, settings_option


@click.command("drain")
@settings_option()
@json_option()
def command(file: Path | None, as_json: bool) -> int:
    """Let a running server end with its last session.

    It accepts no new connections. Sessions go on until their clients end them, for `drain_grace` seconds at most.

    \b
    Example:
      fastsmtp drain -c /etc/fastsmtp/fastsmtp.toml
    """
    return follow(file, "drain", as_json, "draining")
