"""``fastsmtp top``: what a running server does, as it does it."""

import os
import sys
import time
from pathlib import Path

import click

from fastsmtp.cli.asking import ask_any
from fastsmtp.cli.json_text import as_json_line
from fastsmtp.cli.options import Stop, json_option, settings_as_they_are, settings_option
from fastsmtp.cli.samples import Reading
from fastsmtp.cli.screen import screen
from fastsmtp.cli.top_figures import Figures, figures
from fastsmtp.cli.top_view import lines

_PAPER = (100, 60)
"""Columns and lines where there is no terminal."""


@click.command("top")
@settings_option()
@json_option()
@click.option("--once", is_flag=True, help="Print one picture and end.")
@click.option(
    "--every",
    type=click.FloatRange(0.2, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two pictures, over which rates are taken.",
)
def command(file: Path | None, as_json: bool, once: bool, every: float) -> int:
    """Watch the running server: rates, how long things take, sessions, the queue, the fullest and the slowest sites.

    The keys q and Ctrl-C end it, any other one asks at once. Where there is no terminal one picture is printed. With
    --json one object for each picture.

    \b
    Examples:
      fastsmtp top -c /etc/fastsmtp/fastsmtp.toml
      fastsmtp top --once
      fastsmtp top --json --every 10
    """
    data_dir = settings_as_they_are(file).data_dir
    pictures = Pictures(data_dir)
    if as_json:
        while True:
            time.sleep(every)
            click.echo(as_json_line(pictures.next()))
            if once:
                return os.EX_OK
    if once or not sys.stdout.isatty():
        time.sleep(every)
        for line in lines(pictures.next(), *_PAPER):
            click.echo(line)
        return os.EX_OK
    _watch(pictures, every)
    return os.EX_OK


class Pictures:
    """One after the other, of the server of ``data_dir``. Ends the program when there is none at the beginning."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._before, self._at = self._read()

    def next(self) -> Figures:
        """What happened since the one before. Raises `Stop` when nobody answers."""
        after, at = self._read()
        found = figures(self._before, after, max(at - self._at, 0.001), time.time())
        self._before, self._at = after, at
        return found

    def _read(self) -> tuple[Reading, float]:
        text: bytes = ask_any(self._data_dir, "metrics", False, bytes)
        return Reading(text.decode()), time.monotonic()


def _watch(pictures: Pictures, every: float) -> None:
    with screen(sys.stdin, sys.stdout) as terminal:
        shown: list[str] = ["fastsmtp top: looking ..."]
        while True:
            terminal.draw(shown)
            if "q" in terminal.wait(every).lower():
                return
            width, height = terminal.size
            try:
                shown = lines(pictures.next(), width, height)
            except Stop as stop:  # a server that is started again is shown again
                shown = [line[:width] for line in stop.lines]
