"""What every queue command does around its work: find the queue, and turn what goes wrong into one line."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastsmtp.cli.options import Stop, settings_as_they_are
from fastsmtp.control.client import ControlError, NotAllowed
from fastsmtp.control.office import NoQueue, Office, office
from fastsmtp.control.queue import NotPossible, QueueDesk

if TYPE_CHECKING:
    from fastsmtp.process.settings import Settings

Work = Callable[[Office], Awaitable[int]]


def run(file: Path | None, work: Work) -> int:
    """Do ``work`` with the queue of the server whose settings are in ``file``; returns the exit code, EX_TEMPFAIL
    when a part of the queue could not be asked."""
    settings = settings_as_they_are(file)
    try:
        return asyncio.run(_run(settings, work))
    except NotAllowed as error:
        raise Stop(os.EX_NOPERM, str(error)) from None
    except (NoQueue, NotPossible) as error:
        raise Stop(os.EX_UNAVAILABLE, str(error)) from None
    except ControlError as error:
        raise Stop(os.EX_TEMPFAIL, str(error)) from None


async def _run(settings: "Settings", work: Work) -> int:
    def offline() -> AbstractContextManager[Mapping[int, QueueDesk]]:
        from fastsmtp.process.offline import opener

        return opener(settings)

    async with office(settings.data_dir, offline) as found:
        if found.offline:
            click.echo(f"note: no server runs on {settings.data_dir}; its spool is read directly", err=True)
        if found.missing:
            numbers = ", ".join(map(str, found.missing))
            click.echo(f"note: no worker answers for shard {numbers}; its mail is left out", err=True)
        code = await work(found)
        return os.EX_TEMPFAIL if code == os.EX_OK and found.missing else code
