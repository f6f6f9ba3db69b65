"""Asks the running server what any of its workers can answer."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastsmtp.cli.options import Stop

_MEND = "start one, or name another settings file with -c"


def ask_any(data_dir: Path, verb: str, argument: object, form: Any, *, lost: str = "") -> Any:
    """What the first worker says that answers, as a value of ``form``. Ends the program when there is none; ``lost``
    says what has gone with the server."""
    return next(iter(_ask(data_dir, verb, lambda slot: argument, form, first=True, lost=lost).values()))


def ask_all(
    data_dir: Path, verb: str, argument: object, form: Any, *, each: Callable[[int], object] | None = None
) -> dict[int, Any]:
    """What every worker says, by its slot, as a value of ``form``; ``each`` gives the argument for one. Ends the
    program when there is none."""
    return _ask(data_dir, verb, each or (lambda slot: argument), form)


def _ask(
    data_dir: Path,
    verb: str,
    argument: Callable[[int], object],
    form: Any,
    *,
    first: bool = False,
    lost: str = "",
) -> dict[int, Any]:
    from fastsmtp.control.client import ControlError, NotAllowed, NotThere, ask
    from fastsmtp.control.place import slots, socket_path

    async def answers() -> dict[int, Any]:
        found: dict[int, Any] = {}
        for slot in slots(data_dir):
            try:
                found[slot] = await ask(socket_path(data_dir, slot), verb, argument(slot), form)
            except NotThere:
                continue
            if first:
                break
        return found

    try:
        found = asyncio.run(answers())
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
        raise Stop(os.EX_UNAVAILABLE, f"no server runs on {data_dir}{lost}; {_MEND}")
    return found
