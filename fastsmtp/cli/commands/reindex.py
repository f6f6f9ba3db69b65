"""``fastsmtp reindex``: makes indexes again from what they are of."""

import os
import sys
from pathlib import Path

import click

from fastsmtp.cli.bar import Bar
from fastsmtp.cli.options import Stop, json_option, settings_option
from fastsmtp.cli.queue_progress import as_json_text
from fastsmtp.config.errors import SettingsError
from fastsmtp.ledger.format import DIRECTORY
from fastsmtp.ledger.rebuild import rebuild


@click.group("reindex")
def command() -> None:
    """Make indexes again that were deleted or damaged, from what they are of. Nothing else is changed.

    \b
    Example:
      fastsmtp reindex ledger
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
    directory = _ledger_of(file)
    bar = Bar("reading", sys.stderr)
    try:
        done = rebuild(
            directory, lambda read, total: bar.show(read / max(1, total), f"{read:,} of {total:,} octets")
        )
    except PermissionError as error:
        raise Stop(
            os.EX_NOPERM, f"{error.filename}: permission denied; run it as root or as the server's user"
        ) from None
    except OSError as error:
        raise Stop(os.EX_IOERR, f"{error.filename or directory}: {error.strerror}") from None
    finally:
        bar.clear()
    if as_json:
        click.echo(as_json_text(done._asdict()))
    else:
        left = f"; {done.busy} are made by the running server" if done.busy else ""
        click.echo(f"{done.written} indexes made{left}")
        for problem in done.problems:
            click.echo(f"fastsmtp: {problem}", err=True)
    return os.EX_DATAERR if done.problems else os.EX_OK


def _ledger_of(file: Path | None) -> Path:
    """The ledger of the server whose settings are in ``file``. Whoever is root becomes the server's user: what is
    made is to be his."""
    from fastsmtp.process.errors import StartError
    from fastsmtp.process.privileges import drop, find_user
    from fastsmtp.process.settings import load_settings

    try:
        settings = load_settings(file)
        identity = find_user(settings.user)
    except SettingsError as error:
        raise Stop(os.EX_CONFIG, *error.problems) from None
    except StartError as error:
        raise Stop(error.code, str(error)) from None
    if identity is not None:
        drop(identity)
    return settings.data_dir / DIRECTORY
