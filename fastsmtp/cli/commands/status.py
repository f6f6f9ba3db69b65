"""``fastsmtp status``."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastsmtp.cli.master_run import ask_master
from fastsmtp.cli.options import json_option, settings_option

if TYPE_CHECKING:
    from fastsmtp.control.master import Status

_SILENT = 10.0
"""Seconds without a heartbeat that are worth a word."""


@click.command("status")
@settings_option()
@json_option()
def command(file: Path | None, as_json: bool) -> int:
    """Show a running server: its generation, processes, listeners, and the last reload.

    \b
    Examples:
      fastsmtp status -c /etc/fastsmtp/fastsmtp.toml
      fastsmtp status --json
    """
    import msgspec

    from fastsmtp.control.master import Status

    status = ask_master(file, "status", Status)
    if as_json:
        click.echo(msgspec.json.encode(status).decode())
        return os.EX_OK
    for line in _lines(status):
        click.echo(line)
    return os.EX_OK


def _lines(status: "Status") -> Iterator[str]:
    from fastsmtp.config.values import Duration

    up = Duration(int(status.up))
    yield f"fastsmtp {status.version}, pid {status.pid}, up {up}, {status.state}, generation {status.generation}"
    for listener in status.listeners:
        yield f"listening on {listener}"
    yield f"{status.waiting} message{'' if status.waiting == 1 else 's'} in the queue"
    for one in status.processes:
        facts = [f"pid {one.pid}", f"generation {one.generation}", one.state]
        if one.waiting >= 0:
            facts += [f"{one.sessions} session{'' if one.sessions == 1 else 's'}", f"{one.waiting} waiting"]
        if one.silent >= _SILENT:
            facts.append(f"SILENT for {one.silent:.0f} s")
        yield f"{one.name}: {', '.join(facts)}"
    last = status.last
    if last is not None:
        yield f"last change: {'done' if last.done else 'REFUSED'}"
        yield from (f"  {line}" for line in last.lines)
