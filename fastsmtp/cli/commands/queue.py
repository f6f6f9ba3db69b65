"""``fastsmtp queue``: find mail for other hosts that waits, and act on it."""

import os
import sys
import time
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

import click
import msgspec

from fastsmtp.cli import queue_run
from fastsmtp.cli.json_text import as_json_line, as_json_text
from fastsmtp.cli.options import Stop, json_option, settings_option
from fastsmtp.cli.queue_change import changing_commands
from fastsmtp.cli.queue_filter import check_id, filter_of, filter_options
from fastsmtp.cli.queue_progress import Progress, not_here
from fastsmtp.cli.queue_text import Page, Rows, message, site, site_head, tls_head, tls_row
from fastsmtp.control import together
from fastsmtp.control.office import Office
from fastsmtp.control.queue import QueueFilter

ROWS = 100
"""Messages that `ls` shows without being told how many."""


@click.group("queue", commands=changing_commands())
def command() -> None:
    """Find mail for other hosts that waits, and act on it.

    Which messages are meant is said by queue ids, or by filters that must all be true. Without a running server the
    spool is read directly, and changed where that needs no server.

    \b
    Examples:
      fastsmtp queue ls --to-domain far.test
      fastsmtp queue show 5H2kQz8A0001x
      fastsmtp queue hold --to '*@far.test' --older 4h --dry-run
      fastsmtp queue rm --from '<>' --text 'user unknown'
    """


@command.command("ls")
@filter_options(everything=False)
@click.option("--limit", default=ROWS, show_default=True, type=click.IntRange(1), help="Messages shown.")
@click.option("--all", "every", is_flag=True, help="Show all of them.")
@click.option("--count", "only_count", is_flag=True, help="Show only how many there are.")
@settings_option()
@json_option()
def ls(limit: int, every: bool, only_count: bool, file: Path | None, as_json: bool, **given: Any) -> int:
    """List messages, oldest first; with --json one object a line.

    Exact addresses, '*@domain', '*.domain', 'prefix*' and codes are looked up in an index; other globs, --text,
    --remote and --route look at every message, and say so.

    \b
    Examples:
      fastsmtp queue ls
      fastsmtp queue ls --state held --limit 500
      fastsmtp queue ls --code 4 --older 1d --count
      fastsmtp queue ls --route 127.0.0.1:2502 --all --json
    """
    filter = filter_of(given)

    async def work(found: Office) -> int:
        if only_count:
            with Progress("counting", everything=filter == QueueFilter()) as shown:
                tally = await together.count(found.desks, filter, shown)
            click.echo(as_json_text({"messages": tally.messages}) if as_json else f"{tally.messages:,}")
            return os.EX_OK
        await _list(found, filter, None if every else limit, as_json)
        return os.EX_OK

    return queue_run.run(file, work)


def _width() -> int | None:
    """Columns of the terminal, if there is one."""
    return get_terminal_size().columns if sys.stdout.isatty() else None


async def _list(found: Office, filter: QueueFilter, limit: int | None, as_json: bool) -> None:
    now = time.time()
    rows = Rows(_width(), now)
    given = 0
    with Progress("looking", everything=filter == QueueFilter()) as shown:
        async for row in together.find(found.desks, filter, None if limit is None else limit + 1, shown):
            shown.clear()
            if limit is not None and given == limit:
                click.echo(
                    f"note: there are more; --limit shows more than {limit:,}, --all all of them", err=True
                )
                break
            if as_json:
                click.echo(as_json_line(row))
            else:
                if not given:
                    click.echo(rows.head())
                click.echo(rows.line(row))
            given += 1
    if not given:
        click.echo("no message matches" if filter != QueueFilter() else "the queue is empty", err=True)


@command.command("show")
@click.argument("queue_id", metavar="ID")
@settings_option()
@json_option()
def show(queue_id: str, file: Path | None, as_json: bool) -> int:
    """Show one message: envelope, every attempt for each recipient with the host's words, when and why it is tried
    next, where it would go now, header.

    \b
    Example:
      fastsmtp queue show 5H2kQz8A0001x
    """
    check_id(queue_id)

    async def work(found: Office) -> int:
        answer = await together.show(found.desks, queue_id)
        if answer is None:
            raise Stop(os.EX_NOINPUT, not_here(queue_id))
        shard, shown = answer
        if as_json:
            facts = {
                "shard": shard,
                **msgspec.to_builtins(shown),
                "head": shown.head.decode("utf-8", "replace"),
            }
            click.echo(as_json_text(facts))
        else:
            for line in message(shard, shown, time.time(), Page(_width())):
                click.echo(line)
        return os.EX_OK

    return queue_run.run(file, work)


@command.command("sites")
@click.option("--failing", is_flag=True, help="Only those that take no mail now.")
@settings_option()
@json_option()
def sites(failing: bool, file: Path | None, as_json: bool) -> int:
    """List the sites that mail waits for or goes to, with what they allow and why; with --json one object a line.

    \b
    Example:
      fastsmtp queue sites --failing
    """

    async def work(found: Office) -> int:
        now, page = time.time(), Page(_width())
        given = 0
        async for shard, row in together.sites(found.desks):
            if failing and row.health != "failing":
                continue
            if as_json:
                click.echo(as_json_line({"shard": shard, **msgspec.to_builtins(row)}))
            else:
                if not given:
                    click.echo(site_head())
                for line in site(row, now, page):
                    click.echo(line)
            given += 1
        if not given:
            click.echo("no site is failing" if failing else "no site is known", err=True)
        return os.EX_OK

    return queue_run.run(file, work)


@command.command("tls")
@click.option("--failing", is_flag=True, help="Only where sessions have failed.")
@settings_option()
@json_option()
def tls(failing: bool, file: Path | None, as_json: bool) -> int:
    """List how TLS went with each domain that mail was sent to since the start, in sessions: by the policy that held,
    what failed and with which host; with --json one object a line.

    \b
    Example:
      fastsmtp queue tls --failing
    """

    async def work(found: Office) -> int:
        rows = [one for one in await together.tls(found.desks) if one.failures or not failing]
        if as_json:
            for one in rows:
                click.echo(as_json_line(msgspec.to_builtins(one)))
        elif rows:
            click.echo(tls_head())
            for one in rows:
                for line in tls_row(one, Page(_width())):
                    click.echo(line)
        if not rows:
            click.echo("TLS has failed with no domain" if failing else "no session was counted yet", err=True)
        return os.EX_OK

    return queue_run.run(file, work)
