"""``fastsmtp version``."""

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version

import click

import fastsmtp
from fastsmtp.cli.options import json_option

LIBRARIES = ("uvloop", "lmdb", "msgspec", "orjson")


@click.command("version")
@json_option()
def command(as_json: bool) -> int:
    """Show versions, and whether the compiled core runs. Exit code 78 when no core does.

    \b
    Example:
      fastsmtp version --json
    """
    code, which = core()
    facts = {
        "fastsmtp": fastsmtp.__version__,
        "core": which,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: installed(name) for name in LIBRARIES},
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return code
    for name, value in facts.items():
        click.echo(f"{name:<9} {value}")
    return code


def core() -> tuple[int, str]:
    """The exit code, and which core runs, or why none does."""
    try:
        from fastsmtp._core import COMPILED, DEBUG
    except ImportError as error:
        return os.EX_CONFIG, f"none: {error}"
    if not COMPILED:
        return os.EX_OK, "plain Python (slow)"
    return os.EX_OK, "compiled (debug build)" if DEBUG else "compiled"


def installed(name: str) -> str:
    """The version of a library, or that it is missing."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
