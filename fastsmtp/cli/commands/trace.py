"""``fastsmtp trace``: what became of a message."""

import os
import sys
import time
from itertools import islice
from pathlib import Path
from shutil import get_terminal_size

import click
import msgspec

from fastsmtp.cli.json_text import as_json_line, as_json_text
from fastsmtp.cli.options import Stop, json_option, settings_as_they_are, settings_option
from fastsmtp.cli.parsed import Parsed
from fastsmtp.cli.queue_text import Page, moment
from fastsmtp.cli.trace_search import Wanted, parse_moment
from fastsmtp.cli.trace_text import TraceRows, coming, followed, told
from fastsmtp.ledger.follow import Follower
from fastsmtp.ledger.format import DIRECTORY
from fastsmtp.ledger.search import Ledger, Span
from fastsmtp.ledger.story import Story, facts, read_story
from fastsmtp.process.privileges import raise_file_limit

ROWS = 20
"""Messages that are listed without being told how many."""
LOOK = 0.2
"""Seconds between two looks for new events."""


@click.command("trace")
@click.argument("queue_id", metavar="[ID]", required=False)
@click.option("--to", metavar="ADDRESS", help="Messages to this recipient; with * or ? a pattern.")
@click.option("--from", "sender", metavar="ADDRESS", help="Messages of this sender; '<>' is the null sender.")
@click.option("--message-id", metavar="TEXT", help="Messages with this Message-ID, with or without its <>.")
@click.option(
    "--since", type=Parsed("TIME", parse_moment), help="Since: 4h ago, or '2026-11-24 15:00' (UTC)."
)
@click.option("--until", type=Parsed("TIME", parse_moment), help="Before: as --since.")
@click.option("--limit", default=ROWS, show_default=True, type=click.IntRange(1), help="Messages listed.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on, until Ctrl-C.")
@settings_option()
@json_option()
def command(
    queue_id: str | None,
    to: str | None,
    sender: str | None,
    message_id: str | None,
    since: float | None,
    until: float | None,
    limit: int,
    follow: bool,
    file: Path | None,
    as_json: bool,
) -> int:
    """Tell what became of a message: when it came, where it was sent, what each host said, what comes next.

    ID is what the server said behind `queued as`. Or messages are found by recipient, sender or Message-ID, newest
    first; when it is only one, its whole story is told. The ledger's files are read, whether or not a server runs.

    \b
    Examples:
      fastsmtp trace 5H2kQz8A0001x
      fastsmtp trace --to bob@far.test --since 4h
      fastsmtp trace --message-id '<20261124.1@example.org>' --json
      fastsmtp trace --follow --from '*@example.org'
    """
    wanted = Wanted(
        Span(since or 0.0, float("inf") if until is None else until),
        to,
        "" if sender == "<>" else sender,
        message_id,
    )
    if queue_id is None and wanted.anything and since is None and not follow:
        raise click.UsageError("say which: an ID, --to, --from, --message-id, --since or --follow")
    if queue_id is not None and not (wanted.anything and since is None and until is None):
        raise click.UsageError("an ID says which message; leave the other filters out")
    data_dir = _data_dir(file)
    directory = data_dir / DIRECTORY
    raise_file_limit()
    ledger = Ledger(directory)
    try:
        if follow:
            _follow(ledger, Follower(directory), queue_id, wanted, as_json)
        elif queue_id is not None:
            _print_one(ledger, data_dir, queue_id, as_json)
        else:
            _print_list(ledger, data_dir, wanted, limit, as_json)
    except PermissionError as error:
        raise Stop(
            os.EX_NOPERM, f"{error.filename}: permission denied; ask as root or as the server's user"
        ) from None
    except OSError as error:
        raise Stop(os.EX_IOERR, f"{error.filename or directory}: {error.strerror}") from None
    for problem in ledger.problems:
        click.echo(f"note: {problem}", err=True)
    return os.EX_OK


def _data_dir(file: Path | None) -> Path:
    """Where the server's data is; there has to be a ledger."""
    settings = settings_as_they_are(file)
    try:
        os.stat(settings.data_dir / DIRECTORY)
    except FileNotFoundError:
        why = (
            "name the server's settings file with -c"
            if settings.ledger.enabled
            else "[ledger] enabled is false"
        )
        raise Stop(os.EX_UNAVAILABLE, f"there is no ledger in {settings.data_dir}; {why}") from None
    except OSError:
        pass  # said by whoever reads it
    return settings.data_dir


def _print_one(ledger: Ledger, data_dir: Path, queue_id: str, as_json: bool) -> None:
    story = read_story(ledger, queue_id)
    if story is None:
        raise Stop(os.EX_NOINPUT, f"{queue_id}: no event of this id{_known(ledger)}", *ledger.problems)
    _print_story(ledger, data_dir, story, as_json)


def _print_list(ledger: Ledger, data_dir: Path, wanted: Wanted, limit: int, as_json: bool) -> None:
    found = list(islice(wanted.found(ledger), limit + 1))
    if wanted.scans and not wanted.anything:
        click.echo("note: no index answers a pattern; every message of that time was looked at", err=True)
    if not found:
        raise Stop(os.EX_NOINPUT, f"no message matches{_known(ledger)}", *ledger.problems)
    if len(found) == 1 and isinstance(found[0], Story) and not as_json:
        _print_story(ledger, data_dir, found[0], as_json)
        return
    rows = TraceRows(_width())
    if not as_json:
        click.echo(rows.head())
    for one in found[:limit]:
        if as_json:
            click.echo(as_json_line(facts(one) if isinstance(one, Story) else one.fields))
        else:
            click.echo(rows.message(one) if isinstance(one, Story) else rows.refusal(one))
    if len(found) > limit:
        click.echo(f"note: there are more; --limit shows more than {limit:,}", err=True)


def _print_story(ledger: Ledger, data_dir: Path, story: Story, as_json: bool) -> None:
    shown, why_not = None, ""
    if not story.done:
        from fastsmtp.cli.trace_queue import ask_queue

        shown, why_not = ask_queue(data_dir, story.id)
    if as_json:
        waiting = [] if shown is None else shown.recipients
        click.echo(as_json_text({**facts(story), "waiting": msgspec.to_builtins(waiting)}))
        return
    page = Page(_width())
    for line in told(story, page):
        click.echo(line)
    for line in coming(story, shown, time.time(), page, why_not):
        click.echo(line)
    for other in dict.fromkeys([*story.notices, story.about]):
        linked = read_story(ledger, other) if other else None
        if linked is not None:
            click.echo("")
            for line in told(linked, page):
                click.echo(line)


def _follow(ledger: Ledger, follower: Follower, queue_id: str | None, wanted: Wanted, as_json: bool) -> None:
    """Print events as they come, until somebody ends it; before them what there is of an ID, or since a time. Of a
    message one event of which was wanted, all that follow are."""
    ids: set[str] = set()
    if queue_id is not None:
        ids.add(queue_id)
        lines = list(ledger.find("id", queue_id))[::-1]
    else:
        lines = list(ledger.scan(wanted.span)) if wanted.span.since else []
    while True:
        for line in lines:
            its = {line.text("id"), line.text("about")} - {""}
            if queue_id is None and (wanted.anything or wanted.fits(line)):
                ids |= its
            elif not its & ids:
                continue
            elif line.kind == "notified":
                ids |= its
            click.echo(as_json_line(line.fields) if as_json else followed(line))
        sys.stdout.flush()
        lines = follower.read()
        if not lines:
            time.sleep(LOOK)


def _known(ledger: Ledger) -> str:
    begin = ledger.begin()
    return "; the ledger is empty" if begin is None else f"; the ledger begins at {moment(begin)}"


def _width() -> int | None:
    return get_terminal_size().columns if sys.stdout.isatty() else None
