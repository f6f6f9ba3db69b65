"""``fastsmtp restore``."""

import os
import sys
import time
from pathlib import Path

import click
import msgspec

from fastsmtp.cli.bar import Bar
from fastsmtp.cli.json_text import as_json_text
from fastsmtp.cli.options import Stop, json_option, settings_as_they_are, settings_option


@click.command("restore")
@click.argument("path", metavar="BACKUP", type=click.Path(path_type=Path, exists=True))
@settings_option("Settings file (TOML) that says where data goes.")
@click.option(
    "--files",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Put settings and keys below DIR, by their old paths; / for where they were.",
)
@click.option("--mail", is_flag=True, help="Put mailboxes back too.")
@click.option("--replace", is_flag=True, help="Though data_dir is not empty: what is there is moved aside.")
@json_option()
def command(
    path: Path, file: Path | None, files: Path | None, mail: bool, replace: bool, as_json: bool
) -> int:
    """Put a backup back: into the data_dir of the settings, which is to be empty and without a server.

    All is read and compared with its checksums before anything is in its place. Mail that was delivered after the
    backup was taken comes a second time.

    \b
    Examples:
      fastsmtp restore /backup/mail-1.tar --files /                    settings and keys, on a new machine
      fastsmtp restore /backup/mail-1.tar -c /etc/fastsmtp/fastsmtp.toml   then the queue and the accounts
    """
    from fastsmtp.process.backup.put_back import restore
    from fastsmtp.process.errors import StartError

    if file is None and files is None:
        raise Stop(
            os.EX_USAGE, "name the settings that say where it goes with -c, or a directory with --files"
        )
    settings = None if file is None else settings_as_they_are(file)
    bar = Bar("restoring", sys.stderr)
    try:
        done = restore(
            path,
            settings,
            files_to=files,
            mail=mail,
            replace=replace,
            seen=lambda read, total: bar.show(read / max(1, total), f"{read:,} of {total:,} octets"),
        )
    except StartError as error:
        raise Stop(error.code, str(error)) from None
    finally:
        bar.clear()
    if as_json:
        click.echo(as_json_text(msgspec.structs.asdict(done)))
        return os.EX_OK
    taken = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(done.at))
    click.echo(f"restored {done.files} files of {taken} UTC, of fastsmtp {done.version}")
    if done.left_out:
        click.echo(f"note: {done.left_out} files were left out; settings need --files, mailboxes need --mail")
    if done.replaced:
        click.echo(f"note: what was there before is in {done.replaced}")
    click.echo("note: mail that was delivered after the backup was taken is delivered once more")
    return os.EX_OK
