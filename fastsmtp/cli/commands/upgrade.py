"""``fastsmtp upgrade``."""

from pathlib import Path

import click

from fastsmtp.cli.master_run import follow
from fastsmtp.cli.options import json_option, settings_option


@click.command("upgrade")
@settings_option()
@json_option()
def command(file: Path | None, as_json: bool) -> int:
    """Let the installed program, such as a new version, take over from the one that runs.

    It gets the same listening sockets, and serves once all its workers are ready; the old one ends with its last
    session. When the new one cannot serve, the old one goes on, and the reason is printed.

    \b
    Example:
      pip install -U fastsmtp-mta && fastsmtp upgrade -c /etc/fastsmtp/fastsmtp.toml
    """
    return follow(file, "upgrade", as_json, "upgraded")
