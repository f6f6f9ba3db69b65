"""What every command on accounts does around its work: find them, read names and passwords as people write them, and
turn what goes wrong into one line."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastsmtp.cli.options import Decorator, Stop, settings_as_they_are

if TYPE_CHECKING:
    from fastsmtp.accounts.embedded import EmbeddedAccounts
    from fastsmtp.process.settings import Settings

_SIZE = re.compile(r"(\d{1,15})(?:([KMGT])(?:i?B)?)?", re.IGNORECASE)
_POWERS = {"K": 10, "M": 20, "G": 30, "T": 40}
_MOST_READ = 64 << 10


@contextmanager
def managed(file: Path | None, *, for_good: bool = True) -> Iterator[tuple["Settings", "EmbeddedAccounts"]]:
    """The settings of ``file`` and the accounts they name, open; ends the program with one line when there are none
    to be managed or something goes wrong with them. ``for_good``: whether root stays the server's user."""
    from fastsmtp.accounts.base import AccountsError
    from fastsmtp.accounts.hashing import HashError
    from fastsmtp.accounts.manage import ManageError, NoSuch
    from fastsmtp.process.accounts import managed as opened
    from fastsmtp.process.errors import StartError

    settings = settings_as_they_are(file)
    backend = settings.accounts.backend
    if backend != "embedded":
        where = f"{file}: " if file else "no settings file was given (-c FILE): "
        raise Stop(
            os.EX_CONFIG,
            f'{where}accounts.backend is "{backend}"; only accounts of "embedded" are kept by this command',
        )
    try:
        with opened(settings, for_good=for_good) as accounts:
            yield settings, accounts
    except StartError as error:
        raise Stop(error.code, str(error)) from None
    except AccountsError as error:
        raise Stop(os.EX_IOERR, str(error)) from None
    except HashError as error:
        raise Stop(os.EX_OSERR, str(error)) from None
    except NoSuch as error:
        raise Stop(os.EX_NOUSER, str(error)) from None
    except ManageError as error:
        raise Stop(os.EX_DATAERR, str(error)) from None


def password_option() -> Decorator:
    """``--password-stdin``, given to the command as ``from_stdin``."""
    return click.option(
        "--password-stdin",
        "from_stdin",
        is_flag=True,
        help="Read the password, one line, from standard input; without it the terminal asks.",
    )


def read_password(from_stdin: bool) -> bytes:
    """The password as it was given, checked to be one; it never stands on the command line, where `ps` shows it. Ends
    the program with one line when it cannot be a password."""
    from fastsmtp.accounts.passwords import prepared

    if from_stdin:
        password = sys.stdin.buffer.read(_MOST_READ).removesuffix(b"\n").removesuffix(b"\r")
    elif sys.stdin.isatty():
        text = click.prompt("Password", hide_input=True, confirmation_prompt="Once more", err=True)
        password = str(text).encode("utf-8", "surrogateescape")
    else:
        raise Stop(os.EX_USAGE, "no terminal to ask for the password; give it with --password-stdin")
    if b"\n" in password:
        raise Stop(os.EX_DATAERR, "the password is one line; more came from standard input")
    try:
        prepared(password)
    except ValueError as error:
        raise Stop(os.EX_DATAERR, f"this cannot be a password: {error}") from None
    return password


def parse_size(text: str) -> int:
    """Bytes, written ``500M``, ``2GiB`` or ``none``, which is 0; raises ValueError."""
    if text == "none":
        return 0
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f'expected a size such as "500M" or "2GiB", or "none", got "{text}"')
    return int(match[1]) << (_POWERS[match[2].upper()] if match[2] else 0)


def size_text(size: int) -> str:
    """``size`` as `parse_size` reads it."""
    if not size:
        return "none"
    for unit, power in reversed(_POWERS.items()):
        if size % (1 << power) == 0:
            return f"{size >> power}{unit}"
    return str(size)
