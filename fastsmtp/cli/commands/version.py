"""``fastsmtp version``."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version

import click

import fastsmtp
from fastsmtp.cli.options import json_option

LIBRARIES = ("uvloop", "lmdb", "msgspec", "orjson")


@click.command("version")
@json_option()
def command(as_json: bool) -> None:
    """Show versions, and whether the compiled core runs.

    \b
    Example:
      fastsmtp version --json
    """
    facts = {
        "fastsmtp": fastsmtp.__version__,
        "core": core(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: installed(name) for name in LIBRARIES},
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        click.echo(f"{name:<9} {value}")


def core() -> str:
    """Which core runs, or why none does."""
    try:
        from fastsmtp._core import COMPILED
    except ImportError as error:
        return f"none: {error}"
    return "compiled" if COMPILED else "plain Python (slow)"


def installed(name: str) -> str:
    """The version of a library, or that it is missing."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
