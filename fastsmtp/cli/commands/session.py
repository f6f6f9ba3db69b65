"""``fastsmtp session``: who talks to the server now, and what was said where something was refused."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastsmtp.cli.asking import ask_all
from fastsmtp.cli.json_text import as_json_line
from fastsmtp.cli.options import Stop, json_option, settings_as_they_are, settings_option
from fastsmtp.mail.result import printable

if TYPE_CHECKING:
    from fastsmtp.session.talks import SessionRow
    from fastsmtp.telemetry.dialogue import Said

PAUSE = 0.3
"""Seconds between two questions of `watch`."""


@click.group("session")
def command() -> None:
    """See the sessions of the running server, and read back those in which something was refused.

    \b
    Examples:
      fastsmtp session ls -c /etc/fastsmtp/fastsmtp.toml
      fastsmtp session show 0.17
      fastsmtp session watch --client 192.0.2.7
    """


@command.command("ls")
@settings_option()
@json_option()
def ls(file: Path | None, as_json: bool) -> int:
    """List sessions that are open, then the latest that have ended and in which something was refused.

    \b
    Example:
      fastsmtp session ls --json
    """
    from fastsmtp.session.talks import SessionRow

    data_dir = settings_as_they_are(file).data_dir
    answers: list[list[SessionRow]] = list(ask_all(data_dir, "session.ls", None, list[SessionRow]).values())
    found = sorted((row for rows in answers for row in rows), key=lambda row: (row.ended != 0, -row.ended))
    for row in found:
        click.echo(as_json_line(row) if as_json else _line(row))
    if not found and not as_json:
        click.echo("no session is open, and in none lately something was refused", err=True)
    return os.EX_OK


@command.command("show")
@click.argument("name")
@settings_option()
@json_option()
def show(name: str, file: Path | None, as_json: bool) -> int:
    """Print what was said in session NAME, which is as in `session ls`, from the first refusal on.

    C is the client, S the server; what could hold a password, and the messages, is a number of octets.

    \b
    Example:
      fastsmtp session show 0.17
    """
    from fastsmtp.session.talks import SessionShown

    data_dir = settings_as_they_are(file).data_dir
    if not 0 < len(name) <= 40:
        raise Stop(os.EX_USAGE, "NAME is as in `fastsmtp session ls`, such as 0.17")
    answers: list[SessionShown | None] = list(
        ask_all(data_dir, "session.show", name, SessionShown | None).values()
    )
    for found in answers:
        if found is not None:
            if as_json:
                click.echo(as_json_line(found))
                return os.EX_OK
            click.echo(_line(found.row))
            for said in found.lines:
                click.echo(_said(said))
            return os.EX_OK
    raise Stop(os.EX_NOINPUT, f"no session {printable(name)} is kept; `fastsmtp session ls` lists them")


@command.command("watch")
@click.option("--client", metavar="IP", help="Only sessions of this address.")
@click.option("--seconds", type=click.FloatRange(min=0), help="End after so many seconds.")
@settings_option()
@json_option()
def watch(client: str | None, seconds: float | None, file: Path | None, as_json: bool) -> int:
    """Print what is said in all sessions, from now on, until Ctrl-C. Under load lines are left out.

    \b
    Example:
      fastsmtp session watch --client 192.0.2.7 --seconds 60
    """
    from fastsmtp.session.talks import Watched

    data_dir = settings_as_they_are(file).data_dir
    end = None if seconds is None else time.monotonic() + seconds
    positions: dict[int, int] = {}
    while True:
        answers: dict[int, Watched] = ask_all(
            data_dir, "session.watch", None, Watched, each=lambda slot: positions.get(slot, -1)
        )
        for slot, answer in answers.items():
            positions[slot] = answer.position
            for heard in answer.lines:
                if client is not None and heard.client != client:
                    continue
                if as_json:
                    told = {"session": heard.session, "client": heard.client, "at": heard.said.at}
                    click.echo(as_json_line(told | {"who": heard.said.who, "text": heard.said.text}))
                else:
                    click.echo(f"{heard.session} {heard.client} {_said(heard.said)}")
        if end is not None and time.monotonic() >= end:
            return os.EX_OK
        time.sleep(PAUSE)


def _line(row: "SessionRow") -> str:
    facts = row.facts
    parts = [row.name or "-", row.state, row.client or "-"]
    if facts.helo:
        parts.append(f"{facts.protocol} helo={printable(facts.helo)}")
    if facts.login:
        parts.append(f"login={printable(facts.login)}")
    if facts.tls:
        parts.append(facts.tls)
    if facts.sender is not None:
        parts.append(f"from=<{printable(facts.sender)}> recipients={facts.recipients}")
    if row.refusals:
        parts.append(f"refusals={row.refusals}")
    return " ".join(parts)


def _said(said: "Said") -> str:
    at = time.strftime("%H:%M:%S", time.localtime(said.at)) + f".{int(said.at % 1 * 1000):03d}"
    return f"{at} {said.who}: {said.text}"
