"""``fastsmtp status``."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastsmtp.cli.json_text import as_json_line
from fastsmtp.cli.master_run import ask_master
from fastsmtp.cli.options import json_option, settings_as_they_are, settings_option

if TYPE_CHECKING:
    from fastsmtp.control.master import Status
    from fastsmtp.control.web import HookStatus

_PATIENCE = 5.0
"""Seconds that the HTTP process has to tell of the webhooks."""
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
    webhooks = _webhooks(file)
    if as_json:
        click.echo(as_json_line({**msgspec.structs.asdict(status), "webhooks": webhooks}))
        return os.EX_OK
    for line in _lines(status):
        click.echo(line)
    for one in webhooks:
        click.echo(_webhook(one))
    return os.EX_OK


def _webhooks(file: Path | None) -> "list[HookStatus]":
    """How they do; none where nobody knows."""
    from fastsmtp.control.client import ControlError, ask
    from fastsmtp.control.web import HookStatus, web_path

    path = web_path(settings_as_they_are(file).data_dir)
    try:
        found: list[HookStatus] = asyncio.run(
            ask(path, "web.status", None, list[HookStatus], patience=_PATIENCE)
        )
    except ControlError:
        return []
    return found


def _webhook(one: "HookStatus") -> str:
    from fastsmtp.config.values import Duration

    if one.failing_since is None:
        return f"webhook {one.name}: {one.delivered} events taken"
    since = Duration(max(0, int(time.time() - one.failing_since)))
    return f"webhook {one.name}: FAILING for {since}, {one.waiting} events wait: {one.error}"


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
