"""Options that several commands share, and how settings come from them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastsmtp.config.errors import SettingsError

if TYPE_CHECKING:
    from fastsmtp.process.settings import Settings

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def settings_option(help_text: str = "Settings file (TOML). Without it: the built-in default.") -> Decorator:
    """``-c FILE``, given to the command as ``file``."""
    return click.option(
        "-c", "--config", "file", type=click.Path(path_type=Path), metavar="FILE", help=help_text
    )


def json_option() -> Decorator:
    """``--json``, given to the command as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def settings_as_they_are(file: Path | None) -> "Settings":
    """The settings of ``file`` or the default, whether a server could start with them or not; ends the program with
    EX_CONFIG, one line per fault, when they are wrong."""
    from fastsmtp.process.settings import load_settings

    try:
        return load_settings(file)
    except SettingsError as error:
        raise Stop(os.EX_CONFIG, *error.problems) from None


def settings_from(file: Path | None) -> "Settings":
    """As `settings_as_they_are`, and this machine has to allow a start, too."""
    from fastsmtp.process.machine import machine_problems

    settings = settings_as_they_are(file)
    problems = machine_problems(settings)
    if problems:
        raise Stop(os.EX_CONFIG, *(f"{file}: {problem}" if file else problem for problem in problems))
    return settings


class Stop(Exception):
    """Ends the program with ``code`` after printing ``lines``, each with the program's name in front."""

    def __init__(self, code: int, *lines: str) -> None:
        super().__init__(*lines)
        self.code = code
        self.lines = lines
