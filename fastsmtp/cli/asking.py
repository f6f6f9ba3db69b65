"""Asks the running server what any of its workers can answer."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsmtp.cli.options import Stop
from fastsmtp.config.errors import SettingsError

if TYPE_CHECKING:
    from fastsmtp.process.settings import Settings

_MEND = "start one, or name another settings file with -c"


def settings_as_they_are(file: Path | None) -> "Settings":
    """The settings of ``file`` or the default, whether a server could start with them or not. Ends the program when
    they are wrong."""
    from fastsmtp.process.settings import load_settings

    try:
        return load_settings(file)
    except SettingsError as error:
        raise Stop(os.EX_CONFIG, *error.problems) from None


def ask_any(data_dir: Path, verb: str, argument: object, form: Any, *, lost: str = "") -> Any:
    """What the first worker says that answers, as a value of ``form``. Ends the program when there is none; ``lost``
    says what has gone with the server."""
    from fastsmtp.control.client import ControlError, NotAllowed

    try:
        return asyncio.run(_ask(data_dir, verb, argument, form, lost))
    except NotAllowed as error:
        raise Stop(os.EX_NOPERM, str(error)) from None
    except ControlError as error:
        raise Stop(os.EX_TEMPFAIL, str(error)) from None


def ask_all(
    data_dir: Path, verb: str, argument: object, form: Any, *, each: Callable[[int], object] | None = None
) -> dict[int, Any]:
    """What every worker says, by its slot, as a value of ``form``; ``each`` gives the argument for one. Ends the
    program when there is none."""
    from fastsmtp.control.client import ControlError, NotAllowed, NotThere, ask
    from fastsmtp.control.place import slots, socket_path

    async def all_of_them() -> dict[int, Any]:
        found = {}
        for slot in slots(data_dir):
            try:
                said = argument if each is None else each(slot)
                found[slot] = await ask(socket_path(data_dir, slot), verb, said, form)
            except NotThere:
                continue
        return found

    try:
        found = asyncio.run(all_of_them())
    except NotAllowed as error:
        raise Stop(os.EX_NOPERM, str(error)) from None
    except ControlError as error:
        raise Stop(os.EX_TEMPFAIL, str(error)) from None
    except PermissionError as error:
        raise Stop(
            os.EX_NOPERM, f"{error.filename}: permission denied; ask as root or as the server's user"
        ) from None
    except OSError as error:
        raise Stop(os.EX_UNAVAILABLE, f"{error.filename}: {error.strerror}; check data_dir") from None
    if not found:
        raise Stop(os.EX_UNAVAILABLE, f"no server runs on {data_dir}; {_MEND}")
    return found


async def _ask(data_dir: Path, verb: str, argument: object, form: Any, lost: str) -> Any:
    from fastsmtp.control.client import NotAllowed, NotThere, ask
    from fastsmtp.control.place import slots, socket_path

    try:
        numbers = slots(data_dir)
    except PermissionError as error:
        raise NotAllowed(
            f"{error.filename}: permission denied; ask as root or as the server's user"
        ) from None
    except OSError as error:
        raise Stop(os.EX_UNAVAILABLE, f"{error.filename}: {error.strerror}; check data_dir") from None
    for slot in numbers:
        try:
            return await ask(socket_path(data_dir, slot), verb, argument, form)
        except NotThere:
            continue
    raise Stop(os.EX_UNAVAILABLE, f"no server runs on {data_dir}{lost}; {_MEND}")
