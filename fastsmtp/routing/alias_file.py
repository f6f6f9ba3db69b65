"""The file of aliases that Unix machines have: ``/etc/aliases``, as aliases(5) describes it.

``name: value, value``; a line that begins with white space goes on the one before it; ``#`` begins a comment. Values
are addresses, with or without domain, and ``:include:/path``, a file of such values. Commands and files, to which
other servers can deliver, are refused: the server runs nothing for a message.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from fastsmtp.config.errors import SettingsError
from fastsmtp.routing.addresses import parse_address

INCLUDE = ":include:"
_LARGEST = 16 << 20
_DEEPEST = 8
_MOST_TOLD = 20
_VALUE = re.compile(r'(?:[^",]+|"(?:[^"\\]|\\.?)*"?)+', re.DOTALL)
"""Up to a comma that is in no quotes."""


class FileAlias(NamedTuple):
    """What a name stands for: addresses, and names without a domain. ``place`` is the file and the line."""

    place: str
    members: tuple[str, ...]


def read_aliases(file: Path, look: Callable[[Path], object] = lambda file: None) -> dict[str, FileAlias]:
    """The aliases in ``file`` by name, in lower case; ``look`` is told of each file right before it is read. Raises
    `SettingsError`, naming each fault by its line."""
    return _Reader(look).read(file)


class _Reader:
    def __init__(self, look: Callable[[Path], object]) -> None:
        self._look = look

    def read(self, file: Path) -> dict[str, FileAlias]:
        """See `read_aliases`."""
        aliases: dict[str, FileAlias] = {}
        problems: list[str] = []
        for number, line in _lines(self._text(file)):
            place = f"{file}:{number}"
            try:
                name, value = _named(line)
                members = tuple(self._members(_values(value), depth=0))
                if not members:
                    raise ValueError(f'"{name}" stands for nobody')
                if name in aliases:
                    raise ValueError(f'"{name}" stands at {aliases[name].place} too')
            except ValueError as error:
                problems.append(f"{place}: {error}")
                continue
            aliases[name] = FileAlias(place, members)
        if problems:
            raise SettingsError(problems[:_MOST_TOLD])
        return aliases

    def _text(self, file: Path) -> str:
        """The content of ``file``. Raises `SettingsError`."""
        self._look(file)
        try:
            # Not to be held up by a pipe, which somebody may have put in the place of his list.
            with open(file, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as stream:
                if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                    raise SettingsError([f"{file}: it is no regular file"])
                data = stream.read(_LARGEST + 1)
            if len(data) > _LARGEST:
                raise SettingsError([f"{file}: larger than {_LARGEST >> 20} MiB"])
            return data.decode("utf-8")
        except OSError as error:
            raise SettingsError(
                [f"{file}: cannot be read: {error.strerror}; the server's user has to be able to"]
            ) from None
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise SettingsError([f"{file}:{line}: not UTF-8"]) from None

    def _members(self, values: Iterator[str], depth: int) -> Iterator[str]:
        """The addresses that are meant. Raises ValueError."""
        for value in values:
            if value.startswith(INCLUDE):
                yield from self._included(value[len(INCLUDE) :].strip(), depth)
            else:
                yield _member(value)

    def _included(self, path: str, depth: int) -> Iterator[str]:
        if not os.path.isabs(path):
            raise ValueError(f'{INCLUDE} needs a path that begins with /, got "{path}"')
        if depth >= _DEEPEST:
            raise ValueError(f"{INCLUDE}{path}: more than {_DEEPEST} files in each other")
        for number, line in _lines(self._text(Path(path))):
            try:
                yield from self._members(_values(line), depth + 1)
            except ValueError as error:
                raise ValueError(f"{path}:{number}: {error}") from None


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with what continues them, each with the number of its first one."""
    number, whole = 0, ""
    for at, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0] in " \t" and whole:
            whole += " " + line.strip()
            continue
        if whole:
            yield number, whole
        number, whole = at, line.strip()
    if whole:
        yield number, whole


def _named(line: str) -> tuple[str, str]:
    """The name and the value of an alias. Raises ValueError."""
    if line.startswith('"'):
        end = line.find('"', 1)
        name, rest = line[1:end], line[end + 1 :].lstrip()
        colon = rest.startswith(":") and end > 0
        value = rest[1:]
    else:
        name, found, value = line.partition(":")
        name, colon = name.strip(), bool(found)
    if not colon or not name:
        raise ValueError('expected "name: address, address"')
    if "@" in name:
        raise ValueError(f'"{name}": a name without @; addresses belong into [aliases] of the settings')
    parse_address(f'"{name}"@localhost')
    return name.lower(), value


def _values(text: str) -> Iterator[str]:
    """What stands between commas, out of quotes."""
    for found in _VALUE.finditer(text):
        value = found[0].strip()
        if len(value) > 1 and value.startswith('"') and value.endswith('"'):
            value = value[1:-1]
        if value:
            yield value


def _member(value: str) -> str:
    """An address, or a name without a domain. Raises ValueError."""
    if value.startswith("|"):
        raise ValueError(f'"{value}": commands are not run for mail; name an address, or remove the line')
    if value.startswith(("/", "~")):
        raise ValueError(f'"{value}": mail is not put into files; name an address, or remove the line')
    value = value.removeprefix("\\")
    try:
        parse_address(value if "@" in value else f"{value}@localhost")
    except ValueError:
        raise ValueError(f'expected a name or an address, got "{value}"') from None
    return value
