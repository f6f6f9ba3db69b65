"""``fastsmtp serve``."""

import os
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
      fastsmtp serve -c /etc/fastsmtp/fastsmtp.toml
    """
    from fastsmtp.config.signature import signature
    from fastsmtp.process.app import serve
    from fastsmtp.process.errors import StartError
    from fastsmtp.process.heritage import take_heritage
    from fastsmtp.process.successor import Predecessor

    try:
        heritage = take_heritage(os.environ)
    except StartError as error:
        raise Stop(error.code, str(error)) from None
    try:
        read = None if file is None else signature(file)
        settings = settings_from(file)
        try:
            return serve(settings, file, read, heritage)
        except StartError as error:
            raise Stop(error.code, str(error)) from None
    except Stop as stop:
        if heritage is not None:
            Predecessor(heritage.channel).failed("; ".join(stop.lines))
        raise
