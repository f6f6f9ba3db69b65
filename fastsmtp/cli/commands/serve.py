"""``fastsmtp serve``."""

from pathlib import Path

import click

from fastsmtp.cli.options import Stop, settings_from, settings_option


@click.command("serve")
@settings_option()
def command(file: Path | None) -> int:
    """Run the server until SIGTERM or Ctrl-C.

    \b
    Examples:
      fastsmtp serve                       a first look: 127.0.0.1:2525, any user of localhost
      fastsmtp serve -c /etc/fastsmtp.toml
    """
    from fastsmtp.process.app import serve
    from fastsmtp.process.errors import StartError
    from fastsmtp.routing.reload import signature

    read = None if file is None else signature(file)
    settings = settings_from(file)
    try:
        return serve(settings, file, read)
    except StartError as error:
        raise Stop(error.code, str(error)) from None
