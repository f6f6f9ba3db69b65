"""Binds TOML tables to frozen structs and names every fault by its key's path.

A struct's own `__post_init__` may raise ``ValueError("key: what is wrong")`` for what its types cannot say;
the text gets the table's path in front. All faults of a file are reported at once.
"""

import difflib
import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Optional, TypeVar

import msgspec

from fastsmtp.config.errors import SettingsError
from fastsmtp.config.kinds import (
    describe,
    duration_bounds,
    fields_of,
    flagged,
    items_of,
    key_paths,
    struct_of,
    values_of,
)
from fastsmtp.config.values import Duration, parse_duration

T = TypeVar("T", bound=msgspec.Struct)

_LONGEST_VALUE = 60
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class _Shape(NamedTuple):
    """What one value may be, read from its annotation once: a file may have ten thousand tables of a kind."""

    annotation: Any
    struct: type[msgspec.Struct] | None
    item: Optional["_Shape"]
    each: Optional["_Shape"]
    single: bool


def _shape(annotation: Any) -> _Shape:
    item, each = items_of(annotation), values_of(annotation)
    return _Shape(
        annotation,
        struct_of(annotation),
        None if item is None else _shape(item),
        None if each is None else _shape(each),
        flagged(annotation, "single"),
    )


@functools.cache
def _fields(cls: type[msgspec.Struct]) -> dict[str, tuple[msgspec.structs.FieldInfo, _Shape]]:
    return {field.encode_name: (field, _shape(field.type)) for field in fields_of(cls)}


def bind(table: Mapping[str, Any], into: type[T]) -> T:
    """The struct ``into`` filled from ``table``; raises `SettingsError` naming every fault. A struct's ``REPLACED``
    says of keys that are no more what to write instead."""
    problems: list[str] = []
    bound = _table(table, into, "", into, problems)
    if problems:
        raise SettingsError(problems)
    assert isinstance(bound, into)
    return bound


def _table(
    table: Mapping[str, Any],
    into: type[msgspec.Struct],
    path: str,
    root: type[msgspec.Struct],
    problems: list[str],
) -> msgspec.Struct | None:
    before = len(problems)
    fields = _fields(into)
    for key in table:
        if key not in fields:
            mend = getattr(into, "REPLACED", {}).get(key) or _suggest(key, list(fields), path, root)
            problems.append(f"{_join(path, key)}: no such key; {mend}")
    values = {}
    for key, (field, shape) in fields.items():
        full = _join(path, key)
        if key in table:
            values[field.name] = _value(table[key], shape, full, root, problems)
        elif field.required:
            problems.append(f"{full}: missing; expected {describe(field.type)}")
    if len(problems) > before:
        return None
    try:
        return into(**values)
    except ValueError as error:
        problems.append(_join(path, str(error)))
        return None


def _value(value: Any, shape: _Shape, path: str, root: type[msgspec.Struct], problems: list[str]) -> Any:
    annotation, struct, item, each, single = shape
    if struct is not None and isinstance(value, Mapping):
        return _table(value, struct, path, root, problems)
    if each is not None and isinstance(value, Mapping):
        return {
            key: _value(one, each, f"{path}.{key_text(key)}", root, problems) for key, one in value.items()
        }
    if item is not None and isinstance(value, str) and single:
        return (_value(value, item, path, root, problems),)
    if item is not None and isinstance(value, list):
        bound = [_value(one, item, f"{path}[{i}]", root, problems) for i, one in enumerate(value)]
        return tuple(bound)
    if struct is None and item is None and each is None:
        try:
            converted = msgspec.convert(value, annotation, dec_hook=_hook)
            if not isinstance(converted, Duration) or _within(converted, annotation):
                return converted
        except msgspec.ValidationError:
            pass
    mend = f"; write [[{path}]]" if item is not None and item.struct and isinstance(value, Mapping) else ""
    got = "something else" if _secret(annotation) else _shown(value)
    problems.append(f"{path}: expected {describe(annotation)}, got {got}{mend}")
    return None


def _secret(annotation: Any) -> bool:
    """Whether what stands there may be, or hold, what is shown to nobody."""
    inner = struct_of(annotation) or struct_of(items_of(annotation)) or struct_of(values_of(annotation))
    return flagged(annotation, "secret") or (
        inner is not None and any(_secret(field.type) for field in fields_of(inner))
    )


def _hook(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str) and value and "\0" not in value:
        return Path(value)
    if kind is Duration and isinstance(value, str):
        return parse_duration(value)
    raise ValueError(f"not a {kind.__name__}")


def _within(value: Duration, annotation: Any) -> bool:
    """`msgspec` checks the bounds of its own kinds of numbers only."""
    between = duration_bounds(annotation)
    return between is None or between[0] <= value <= between[1]


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _suggest(key: str, known: list[str], path: str, root: type[msgspec.Struct]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return f'did you mean "{near[0]}"?'
    elsewhere = [
        full for full in key_paths(root) if full.rpartition(".")[2] == key and full != _join(path, key)
    ]
    if elsewhere:
        table = elsewhere[0].rpartition(".")[0]
        return f"it belongs under [{table}]" if table else "it belongs above the first [table]"
    return "known here are " + ", ".join(known)


def key_text(key: str) -> str:
    """``key`` as it stands in a file."""
    return key if _BARE_KEY.fullmatch(key) else toml_value(key)


def toml_value(value: Any) -> str:
    """``value`` as it stands in a file, in one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | Path | Duration):
        return '"' + "".join(_escape(letter) for letter in str(value)) + '"'
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(one) for one in value) + "]"
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:_}"
    return str(value)


def _escape(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    return letter if letter.isprintable() else f"\\U{ord(letter):08x}"


def _shown(value: Any) -> str:
    text = toml_value(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
