"""Reads a TOML file into plain tables; a fault is one line that names the file and the line in it."""

import re
import tomllib
from pathlib import Path
from typing import Any

from fastsmtp.config.errors import SettingsError

_HINTS = {
    "Cannot overwrite a value": "this key or table stands twice",
    "Cannot declare": "this table stands twice",
    "Invalid value": "a text stands in quotation marks",
    "Expected newline": "a text stands in quotation marks, and nothing follows a value",
    "Unescaped '\\'": "write '...' around a text that holds backslashes",
}
"""What most likely went wrong, by the beginning of what the parser says."""
_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


def load_toml(path: Path) -> dict[str, Any]:
    """The tables of the file at ``path``; raises `SettingsError` when it cannot be read or is not TOML."""
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SettingsError([f"{path}:{line}: not UTF-8, as TOML must be"]) from None
    return parse_toml(text, str(path))


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """The tables of ``text``, which is called ``name`` in errors; raises `SettingsError`."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise SettingsError(
            [f"{name}: not valid TOML: arrays or tables stand in each other too deep"]
        ) from None
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _PLACE.search(message)
        line, where = str(text.count("\n") + 1), " at the end of the file"
        if place is not None:
            message = message[: place.start()]
            if place["line"]:
                line, where = place["line"], f" in column {place['column']}"
        hint = next((f"; {words}" for start, words in _HINTS.items() if message.startswith(start)), "")
        raise SettingsError([f"{name}:{line}: not valid TOML: {message}{where}{hint}"]) from None
