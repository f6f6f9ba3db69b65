"""``fastsmtp metrics``: all figures of a running server, without HTTP."""

import os
from pathlib import Path

import click

from fastsmtp.cli.asking import ask_any
from fastsmtp.cli.json_text import as_json_line
from fastsmtp.cli.options import json_option, settings_as_they_are, settings_option
from fastsmtp.cli.samples import read_samples


@click.command("metrics")
@settings_option()
@json_option()
@click.option("--openmetrics", is_flag=True, help="In the format of OpenMetrics.")
def command(file: Path | None, as_json: bool, openmetrics: bool) -> int:
    """Print the metrics of the running server, of all its processes together, as Prometheus reads them. With --json
    one object a line.

    \b
    Examples:
      fastsmtp metrics -c /etc/fastsmtp/fastsmtp.toml
      fastsmtp metrics | promtool check metrics
    """
    settings = settings_as_they_are(file)
    text: bytes = ask_any(settings.data_dir, "metrics", openmetrics, bytes)
    if as_json:
        for name, labels, value in read_samples(text.decode()):
            click.echo(as_json_line({"name": name, "labels": labels, "value": value}))
    else:
        click.echo(text, nl=False)
    return os.EX_OK
