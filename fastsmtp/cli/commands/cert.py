"""``fastsmtp cert``: the certificates of the settings, and self-signed ones."""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastsmtp.cli.options import Stop, json_option, settings_as_they_are, settings_option

if TYPE_CHECKING:
    from fastsmtp.process.settings import Settings
    from fastsmtp.tls.status import CertificateStatus

DAY = 86_400


@click.group("cert")
def command() -> None:
    """Look at the server's certificates, or make one for a first try.

    \b
    Examples:
      fastsmtp cert status -c /etc/fastsmtp/fastsmtp.toml
      fastsmtp cert self-signed mx.example.org --out ./tls
    """


@command.command("status")
@settings_option()
@json_option()
def status(file: Path | None, as_json: bool) -> int:
    """Show the certificates in the files, and which the running server uses.

    Exit code 78 when one cannot be used, is outside its dates, or is not what the server uses.

    \b
    Example:
      fastsmtp cert status -c /etc/fastsmtp/fastsmtp.toml
    """
    from fastsmtp.clock import SystemClock
    from fastsmtp.tls.status import status_of

    settings = settings_as_they_are(file)
    now = SystemClock().now()
    loaded, note = asyncio.run(_loaded(settings))
    found = status_of(settings.tls, loaded, now)
    listeners = [f"{one.endpoint} ({one.protocol})" for one in settings.listeners]
    if as_json:
        rows = [_fields(one, now) for one in found]
        click.echo(json.dumps({"certificates": rows, "listeners": listeners, "note": note}, indent=2))
    else:
        for line in _lines(found, listeners, now):
            click.echo(line)
        if note:
            click.echo(f"note: {note}")
    return os.EX_OK if all(one.problem is None and one.current for one in found) else os.EX_CONFIG


@command.command("self-signed")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="Where cert.pem and key.pem are put; made when missing.",
)
@click.option(
    "--days", default=365, show_default=True, type=click.IntRange(1, 36_500), help="How long it is good."
)
def make(names: tuple[str, ...], folder: Path, days: int) -> int:
    """Make a certificate that nobody else vouches for, for host names or IP addresses. Nothing is overwritten.

    \b
    Example:
      fastsmtp cert self-signed mx.example.org 127.0.0.1 --out ./tls
    """
    from fastsmtp.tls.pair import CertificateError
    from fastsmtp.tls.selfsigned import self_signed

    try:
        cert, key = self_signed(names, folder, days)
    except CertificateError as error:
        raise Stop(os.EX_CANTCREAT, str(error)) from None
    click.echo(f"made {cert} and {key}; in the settings file:")
    click.echo("[tls]")
    paths = (json.dumps(str(path.absolute()), ensure_ascii=False) for path in (cert, key))
    click.echo("certificates = [{{ cert = {}, key = {} }}]".format(*paths))
    return os.EX_OK


async def _loaded(settings: "Settings") -> tuple[dict[int, Sequence[str]], str | None]:
    """What the workers of a running server use, by slot; and why it may not be all."""
    from fastsmtp.control.client import ControlError, NotThere, ask
    from fastsmtp.control.place import slots, socket_path

    loaded: dict[int, Sequence[str]] = {}
    note = None
    try:
        numbers = slots(settings.data_dir)
    except OSError as error:
        return {}, f"{error.filename}: {error.strerror}; the server was not asked"
    for slot in numbers:
        try:
            loaded[slot] = await ask(socket_path(settings.data_dir, slot), "tls.loaded", None, list[str])
        except NotThere:
            continue
        except ControlError as error:
            note = str(error)
    if not loaded and note is None:
        note = f"no server runs on {settings.data_dir}"
    return loaded, note


def _lines(found: "Sequence[CertificateStatus]", listeners: Sequence[str], now: float) -> list[str]:
    if not found:
        return ["tls.certificates is empty: the server speaks no TLS"]
    lines = []
    for one in found:
        facts = one.facts
        lines.append(f"tls.certificates[{one.number}]  {one.cert}")
        if facts is not None:
            from fastsmtp.tls.pair import date

            left = (facts.ends - now) / DAY
            lines += [
                f"  names      {', '.join(facts.names) or 'none'}",
                f"  issuer     {facts.issuer}" + (" (itself)" if facts.issuer == facts.subject else ""),
                f"  ends       {date(facts.ends)}, {left:.0f} days left",
                f"  key        {facts.key}, {one.key}",
                f"  chosen     {_chosen(one)}",
                f"  server     {_server(one)}",
            ]
        if one.problem is not None:
            lines.append(f"  PROBLEM    {one.problem}")
    lines.append(f"listeners    {', '.join(listeners)}")
    return lines


def _chosen(one: "CertificateStatus") -> str:
    names = "for " + ", ".join(one.answers) if one.answers else ""
    if one.number:
        return names or "never: others before it have all its names"
    return f"{names}, and for whatever no other is for" if names else "for whatever no other is for"


def _server(one: "CertificateStatus") -> str:
    if not one.loaded:
        return "not known"
    if one.current:
        return "uses it"
    others = sorted({used[:16] for used in one.loaded.values()})
    return f"USES ANOTHER: SHA-256 {', '.join(others)}…; its log says why, or SIGHUP it"


def _fields(one: "CertificateStatus", now: float) -> dict[str, Any]:
    facts = one.facts
    return {
        "number": one.number,
        "cert": one.cert,
        "key": one.key,
        "problem": one.problem,
        "subject": facts and facts.subject,
        "issuer": facts and facts.issuer,
        "names": list(facts.names) if facts else [],
        "begins": facts and facts.begins,
        "ends": facts and facts.ends,
        "days_left": None if facts is None else round((facts.ends - now) / DAY, 1),
        "key_type": facts and facts.key,
        "serial": facts and facts.serial,
        "sha256": facts and facts.fingerprint,
        "chosen_for": list(one.answers),
        "default": one.number == 0,
        "loaded": {str(slot): used for slot, used in one.loaded.items()},
        "current": one.current if one.loaded else None,
    }
