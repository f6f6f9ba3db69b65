"""``fastsmtp doctor``."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from fastsmtp.cli.json_text import as_json_text
from fastsmtp.cli.options import json_option, settings_as_they_are, settings_option

if TYPE_CHECKING:
    from fastsmtp.process.doctor.finding import Finding


@click.command("doctor")
@settings_option()
@click.option(
    "--outbound",
    metavar="HOST",
    multiple=True,
    help="Connect to port 25 of HOST, to see whether mail can leave. Repeatable.",
)
@click.option("--no-dns", is_flag=True, help="Ask the DNS nothing.")
@json_option()
def command(file: Path | None, outbound: tuple[str, ...], no_dns: bool, as_json: bool) -> int:
    """Look for what is wrong with a server and what is around it; each finding has its mend. Changes nothing.

    Owners and permissions, clock, kernel limits, disks, databases, certificates, ports, DNS records, what lies about,
    age of the last backup. As root it sees all. Exit code: 0 when all is well, 1 with warnings, 2 with errors.

    \b
    Examples:
      fastsmtp doctor -c /etc/fastsmtp/fastsmtp.toml
      fastsmtp doctor -c /etc/fastsmtp/fastsmtp.toml --outbound mx.example.net
    """
    from fastsmtp.process.doctor.finding import exit_code
    from fastsmtp.process.doctor.look import AREAS, findings

    settings = settings_as_they_are(file)
    found = findings(settings, file, time.time(), outbound=outbound, dns=not no_dns)
    if as_json:
        rows = [msgspec.structs.asdict(one) for one in found]
        click.echo(as_json_text({"findings": rows, "exit_code": exit_code(found)}))
        return exit_code(found)
    for one in found:
        for line in lines(one, file):
            click.echo(line)
    bad = {one.area for one in found if one.severity != "note"}
    well = [area for area in AREAS if area not in bad and not (area == "dns" and no_dns)]
    click.echo(f"well: {', '.join(well) or 'nothing'}")
    return exit_code(found)


def lines(one: "Finding", file: Path | None) -> list[str]:
    """A finding for a person; ``FILE`` in its mend is the settings'."""
    mend = one.mend if file is None else one.mend.replace("-c FILE", f"-c {file}")
    told = [f"{one.severity.upper():8} {one.area}: {one.text}"]
    return [*told, f"{'':9}mend: {mend}"] if mend else told
