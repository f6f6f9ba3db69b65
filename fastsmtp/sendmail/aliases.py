"""``newaliases``: other servers make an index then; here the file is checked, and it is told who follows it."""

import os
from pathlib import Path

from fastsmtp.config.errors import SettingsError
from fastsmtp.process.settings import load_settings, routing_of
from fastsmtp.routing.alias_file import read_aliases
from fastsmtp.sendmail.failure import Failure
from fastsmtp.sendmail.queue import SETTINGS

USUAL = "/etc/aliases"


def check(config: str | None) -> int:
    """Check the file of aliases that the settings name, or the usual one; the exit code. Raises `Failure`."""
    settings = None
    place = Path(config or SETTINGS)
    if config is not None or os.access(place, os.R_OK):
        try:
            settings = load_settings(place)
        except SettingsError as error:
            raise Failure(os.EX_CONFIG, "\n".join(error.problems)) from None
    named = settings.forwarding.aliases_file if settings is not None else None
    file = Path(named or USUAL)
    try:
        found = read_aliases(file)
        # Without passwords and other lists: whoever runs this need not be able to read them.
        left_out = routing_of(settings, filed=found).left_out if settings is not None and named else []
    except SettingsError as error:
        raise Failure(os.EX_DATAERR, "\n".join(error.problems)) from None
    for line in left_out:
        print(f"note: {line}")
    print(f"{file}: {len(found)} aliases, well-formed")
    if named:
        print("a running server has read it, or begins to within two seconds")
    elif settings is None:
        print(f"whether the server uses it stands in {place}, which cannot be read by this user")
    else:
        print(f"the server does not use it: {place} has no forwarding.aliases_file")
    return os.EX_OK
