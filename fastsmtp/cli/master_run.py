"""Asking the master of a running server, for several commands."""

import asyncio
import os
import time
from pathlib import Path
from typing import TypeVar

import click

from fastsmtp.cli.json_text import as_json_line
from fastsmtp.cli.options import Stop, settings_as_they_are

T = TypeVar("T")


def ask_master(file: Path | None, verb: str, form: type[T]) -> T:
    """The answer of the master of the server with the settings in ``file``; ends the program when there is none."""
    from fastsmtp.control.client import ControlError, NotAllowed, NotThere, ask
    from fastsmtp.control.master import PATIENCE, master_path
    from fastsmtp.control.office import SETTLE
    from fastsmtp.process.lock import master_lives

    data_dir = settings_as_they_are(file).data_dir
    try:
        deadline = time.monotonic() + SETTLE
        while True:
            try:
                answer: T = asyncio.run(ask(master_path(data_dir), verb, None, form, patience=PATIENCE))
                break
            except NotThere:
                # Between the masters of an upgrade nobody listens for a moment.
                if time.monotonic() >= deadline or not master_lives(data_dir):
                    raise
                time.sleep(0.05)
    except NotThere:
        text = f"no server runs on {data_dir}"
        if master_lives(data_dir):
            text = f"the server on {data_dir} runs, but nobody listens at {master_path(data_dir)}; its log says why"
        raise Stop(os.EX_UNAVAILABLE, text) from None
    except NotAllowed as error:
        raise Stop(os.EX_NOPERM, str(error)) from None
    except ControlError as error:
        raise Stop(os.EX_TEMPFAIL, str(error)) from None
    return answer


def follow(file: Path | None, verb: str, as_json: bool, done: str) -> int:
    """Ask for something that comes to an end, and print what came of it; ``done`` is said with the generation."""
    from fastsmtp.control.master import Outcome

    outcome = ask_master(file, verb, Outcome)
    if as_json:
        click.echo(as_json_line(outcome))
        return os.EX_OK if outcome.done else os.EX_CONFIG
    if not outcome.done:
        raise Stop(os.EX_CONFIG, *outcome.lines, "nothing was changed: the server runs on as it was")
    for line in outcome.lines:
        click.echo(line)
    click.echo(f"{done}: generation {outcome.generation}")
    return os.EX_OK
