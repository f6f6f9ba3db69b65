"""``fastsmtp reload``."""

from pathlib import Path

import click

from fastsmtp.cli.master_run import follow
from fastsmtp.cli.options import json_option, settings_option


@click.command("reload")
@settings_option()
@json_option()
def command(file: Path | None, as_json: bool) -> int:
    """Let a running server take its settings, certificates and routes anew.

    New connections meet them within a second; sessions go on as they were. What is different is printed. Settings
    that cannot be used are refused, and the server runs on as it was.

    \b
    Examples:
      fastsmtp reload -c /etc/fastsmtp/fastsmtp.toml
      systemctl reload fastsmtp            the same, without the answer
    """
    return follow(file, "reload", as_json, "reloaded")
