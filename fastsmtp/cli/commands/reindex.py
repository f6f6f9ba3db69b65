"""``fastsmtp reindex``: makes indexes again from what they are of."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from fastsmtp.cli.bar import Bar
from fastsmtp.cli.json_text import as_json_text
from fastsmtp.cli.options import Stop, json_option, settings_as_they_are, settings_option
from fastsmtp.ledger.format import DIRECTORY
from fastsmtp.ledger.rebuild import rebuild


@click.group("reindex")
def command() -> None:
    """Make indexes again that were deleted or damaged, from what they are of. Nothing else is changed.

    \b
    Examples:
      fastsmtp reindex ledger
      fastsmtp reindex queue
    """


@command.command("ledger")
@settings_option()
@json_option()
def ledger(file: Path | None, as_json: bool) -> int:
    """Make the ledger's indexes again. A running server goes on; it makes those of its newest files itself.

    \b
    Example:
      fastsmtp reindex ledger -c /etc/fastsmtp/fastsmtp.toml
    """
    from fastsmtp.process.privileges import drop, find_user

    settings = settings_as_they_are(file)
    with _reading() as bar:
        identity = find_user(settings.user)
        if identity is not None:
            drop(identity)  # what is made is to be the server's user's
        done = rebuild(
            settings.data_dir / DIRECTORY,
            lambda read, total: bar.show(read / max(1, total), f"{read:,} of {total:,} octets"),
        )
    if as_json:
        click.echo(as_json_text(done._asdict()))
    else:
        left = f"; {done.busy} are made by the running server" if done.busy else ""
        click.echo(f"{done.written} indexes made{left}")
        for problem in done.problems:
            click.echo(f"fastsmtp: {problem}", err=True)
    return os.EX_DATAERR if done.problems else os.EX_OK


@command.command("queue")
@settings_option()
@json_option()
def queue(file: Path | None, as_json: bool) -> int:
    """Make the queue's indexes again, by which mail for other hosts is found and tried. The server must not run.

    \b
    Example:
      fastsmtp reindex queue -c /etc/fastsmtp/fastsmtp.toml
    """
    from fastsmtp.control.client import NotAllowed
    from fastsmtp.control.office import NoQueue
    from fastsmtp.process.offline import reindexed

    settings = settings_as_they_are(file)
    with _reading() as bar:
        try:
            shards = reindexed(
                settings,
                lambda done, total: bar.show(done / max(1, total), f"{done:,} of {total:,} messages"),
            )
        except NotAllowed as error:
            raise Stop(os.EX_NOPERM, str(error)) from None
        except NoQueue:
            raise Stop(
                os.EX_TEMPFAIL, f"a server runs on {settings.data_dir}; stop it first, or let it end"
            ) from None
    messages, rows, damaged = (
        sum(getattr(one, name) for one in shards.values()) for name in ("messages", "rows", "damaged")
    )
    if as_json:
        click.echo(
            as_json_text({"shards": len(shards), "messages": messages, "rows": rows, "damaged": damaged})
        )
    else:
        click.echo(f"{rows:,} rows made for {messages:,} messages that wait, in {len(shards)} spools")
        if damaged:
            click.echo(f"fastsmtp: {damaged} messages cannot be read; the server sets them aside", err=True)
    return os.EX_DATAERR if damaged else os.EX_OK


@contextmanager
def _reading() -> Iterator[Bar]:
    """Shows how far it is; what goes wrong is one line, and ends the program."""
    from fastsmtp.process.errors import StartError

    bar = Bar("reading", sys.stderr)
    try:
        yield bar
    except StartError as error:
        raise Stop(error.code, str(error)) from None
    except PermissionError as error:
        raise Stop(
            os.EX_NOPERM, f"{error.filename}: permission denied; run it as root or as the server's user"
        ) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise Stop(os.EX_IOERR, f"{where}{error.strerror}") from None
    finally:
        bar.clear()
