"""``fastsmtp backup``."""

import os
import sys
from pathlib import Path

import click
import msgspec

from fastsmtp.cli.bar import Bar
from fastsmtp.cli.json_text import as_json_text
from fastsmtp.cli.options import Stop, json_option, settings_as_they_are, settings_option


@click.command("backup")
@click.argument("path", metavar="DIR|FILE.tar", type=click.Path(path_type=Path))
@settings_option()
@click.option("--keys", is_flag=True, help="Private keys and files of passwords too.")
@click.option("--ledger", is_flag=True, help="What `fastsmtp trace` knows, too.")
@click.option("--mail", is_flag=True, help="All mailboxes too.")
@json_option()
def command(path: Path, file: Path | None, keys: bool, ledger: bool, mail: bool, as_json: bool) -> int:
    """Copy a server's queue, accounts and settings into DIR or FILE.tar, while it runs.

    Nothing stops meanwhile. Each spool is copied as it was at one moment: what was answered 250 before is in it.
    Nothing is overwritten, and what fails leaves nothing behind.

    \b
    Examples:
      fastsmtp backup /backup/mail-1.tar -c /etc/fastsmtp/fastsmtp.toml
      fastsmtp backup /backup/mail-1 --keys --ledger --mail -c /etc/fastsmtp/fastsmtp.toml
    """
    from fastsmtp.clock import SystemClock
    from fastsmtp.process.backup.take import Wanted, take
    from fastsmtp.process.errors import StartError

    settings = settings_as_they_are(file)
    bar = Bar("copying", sys.stderr)
    try:
        taken = take(
            settings,
            file,
            path,
            Wanted(keys=keys, ledger=ledger, mail=mail),
            SystemClock().now(),
            lambda done, total: bar.show(done / max(1, total), f"{done:,} of about {total:,} octets"),
        )
    except StartError as error:
        raise Stop(error.code, str(error)) from None
    finally:
        bar.clear()
    if as_json:
        click.echo(as_json_text(msgspec.structs.asdict(taken)))
    else:
        click.echo(f"{taken.path}: {taken.size:,} octets; {', '.join(taken.parts)}; {taken.shards} spools")
        click.echo(f"to put it back: fastsmtp restore {taken.path} -c FILE")
    return os.EX_OK
