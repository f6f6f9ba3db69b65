"""``mailq``, ``sendmail -q``: the queue as Postfix's programs print it, and a new try of what is in it."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from fastsmtp.cli.options import Stop
from fastsmtp.cli.queue_run import run
from fastsmtp.cli.queue_text import reason
from fastsmtp.config.errors import SettingsError
from fastsmtp.control import together
from fastsmtp.control.office import Office
from fastsmtp.control.queue import Change, QueueFilter, QueueRow
from fastsmtp.mail.result import printable
from fastsmtp.maildrop.directory import waiting_names
from fastsmtp.process.settings import load_settings
from fastsmtp.sendmail.failure import Failure, usage

SETTINGS = "/etc/fastsmtp/fastsmtp.toml"
"""The server's settings, where -C does not name others."""
_HEAD = "-Queue ID-    --Size-- ----Arrival Time---- -Sender/Recipient-------"
_INDENT = 46
_STATES = {"fresh": "*", "held": "!"}
_NOBODY = "only root and the server's user may see the queue; ask the administrator"


def settings_file(config: str | None) -> Path:
    """The file that is meant, which we may read. Raises `Failure`."""
    file = Path(config or SETTINGS)
    if not os.access(file, os.R_OK):
        if os.geteuid() != 0 and (file.exists() or not os.access(file.parent, os.X_OK)):
            raise Failure(os.EX_NOPERM, f"{file}: {_NOBODY}")
        raise Failure(os.EX_CONFIG, f"{file} cannot be read; name the server's settings with -C")
    return file


def show(config: str | None) -> int:
    """Print the queue; the exit code. Raises `Failure`."""
    file = settings_file(config)
    waiting = _dropped(file)

    async def work(found: Office) -> int:
        size = count = 0
        async for row in together.find(found.desks, QueueFilter(), None, lambda tally: None):
            if not count:
                print(_HEAD)
            print("\n".join(lines(row)), end="\n\n")
            count += 1
            size += row.size
        if count:
            print(f"-- {-(-size // 1024)} Kbytes in {count} Request{'s' if count > 1 else ''}.")
        elif not waiting:
            print("Mail queue is empty")
        if waiting:
            print(f"{waiting} message{'s wait' if waiting > 1 else ' waits'} in the maildrop for the server.")
        return os.EX_OK

    return _asked(lambda: run(file, work))


def retry(config: str | None, which: str, more: list[str]) -> int:
    """Try what waits now: all of it, or the message that ``-qI ID`` names. Raises `Failure`."""
    if which[:1] not in ("", "I"):
        raise usage(
            f"-q{which}: the queue is run by the server itself; there are -q, and -qI with a queue id"
        )
    ids = tuple(one for one in (which[1:], *more) if one) if which else ()
    if which and not ids:
        raise usage("-qI needs a queue id")
    change = Change(filter=QueueFilter(ids=ids or None), action="retry")
    file = settings_file(config)

    async def work(found: Office) -> int:
        await together.change(found.desks, change, lambda tally: None)
        return os.EX_OK

    return _asked(lambda: run(file, work))


def lines(row: QueueRow) -> list[str]:
    """One message, as Postfix's mailq shows it: ``*`` is on its first attempt, ``!`` held."""
    mark = row.id + _STATES.get(row.state, "")
    when = time.strftime("%a %b %d %H:%M:%S", time.localtime(row.queued_at))
    found = [f"{mark:<14}{row.size:>8} {when:<19}  {printable(row.sender, 1000) or 'MAILER-DAEMON'}"]
    last = ""
    for recipient in row.recipients:
        why = reason(recipient)
        if why and why != last:
            found.append(f"({why})".rjust(_INDENT + 30) if len(why) < 70 else f"({why})")
            last = why
        found.append(" " * _INDENT + printable(recipient.address, 1000))
    left = row.waiting - len(row.recipients)
    if left > 0:
        found.append(" " * _INDENT + f"... and {left} more")
    return found


def _asked(ask: Callable[[], int]) -> int:
    try:
        return ask()
    except Stop as stop:
        text = "\n".join(stop.lines)
        if stop.code == os.EX_NOPERM and os.geteuid() != 0:
            text = f"{text}\n{_NOBODY}"
        raise Failure(stop.code, text) from None


def _dropped(file: Path) -> int:
    """How many messages wait in the maildrop, as far as we may look into it. Raises `Failure`."""
    try:
        path = load_settings(file).maildrop.path
    except SettingsError as error:
        raise Failure(os.EX_CONFIG, "\n".join(error.problems)) from None
    try:
        return 0 if path is None else len(waiting_names(path))
    except OSError:
        return 0
