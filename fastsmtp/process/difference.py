"""What is different between two settings, in words: keys, old and new values; secrets are not shown."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from fastsmtp.config.bind import key_text, toml_value
from fastsmtp.config.kinds import fields_of, flagged, is_struct
from fastsmtp.process.settings import Settings

_LONGEST = 60
"""Characters of a value that are shown."""
_HIDDEN = "(secret)"


def differences(old: Settings, new: Settings) -> list[str]:
    """A line for each key whose value is another, such as ``workers: 2 -> 4``."""
    return list(_struct("", old, new))


def _struct(path: str, old: Struct, new: Struct) -> Iterator[str]:
    for field in fields_of(type(new)):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if before != after:
            name = f"{path}.{field.name}" if path else field.name
            yield from _value(name, before, after, flagged(field.type, "secret"))


def _value(path: str, old: Any, new: Any, secret: bool) -> Iterator[str]:
    if type(old) is type(new) and is_struct(type(new)):
        yield from _struct(path, old, new)
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in {**old, **new}:
            if old.get(key) != new.get(key):
                yield from _value(f"{path}.{key_text(key)}", old.get(key), new.get(key), secret)
    elif _tables(old) and _tables(new) and (old or new):
        for i in range(max(len(old), len(new))):
            before, after = (old[i] if i < len(old) else None), (new[i] if i < len(new) else None)
            if before != after:
                yield from _value(f"{path}[{i}]", before, after, secret)
    else:
        yield f"{path}: {_shown(old, secret)} -> {_shown(new, secret)}"


def _tables(value: Any) -> bool:
    return isinstance(value, tuple) and all(is_struct(type(one)) for one in value)


def _shown(value: Any, secret: bool) -> str:
    if value is None:
        return "(none)"
    if secret:
        return _HIDDEN
    if is_struct(type(value)):
        return "(a table)"
    entries = value if isinstance(value, tuple) else ()
    text = f"[{', '.join(map(toml_value, entries))}]" if isinstance(value, tuple) else toml_value(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
