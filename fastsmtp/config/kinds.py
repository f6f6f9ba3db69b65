"""What a field of a settings struct may be, seen from its annotation; shared by `bind` and `docgen`."""

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

import msgspec

from fastsmtp.config.values import Duration, parse_duration


def bare(annotation: Any) -> tuple[Any, list[msgspec.Meta]]:
    """The annotation without `Annotated` and without ``| None``, and the `msgspec.Meta` that stood on it."""
    metas: list[msgspec.Meta] = []
    while True:
        if get_origin(annotation) is Annotated:
            metas += [meta for meta in annotation.__metadata__ if isinstance(meta, msgspec.Meta)]
            annotation = annotation.__origin__
        elif get_origin(annotation) in (Union, types.UnionType):
            rest = [part for part in get_args(annotation) if part is not type(None)]
            if len(rest) != 1:
                raise TypeError(f"a setting is of one type: {annotation}")
            annotation = rest[0]
        else:
            return annotation, metas


def struct_of(annotation: Any) -> type[msgspec.Struct] | None:
    """The struct a table binds to, or None when the annotation is no struct."""
    kind = bare(annotation)[0]
    return kind if is_struct(kind) else None


def is_struct(kind: Any) -> TypeGuard[type[msgspec.Struct]]:
    """Whether ``kind`` is a struct class."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def items_of(annotation: Any) -> Any | None:
    """The annotation of an array's items, or None when the annotation is no array."""
    kind = bare(annotation)[0]
    if get_origin(kind) in (tuple, list):
        return get_args(kind)[0]
    return None


def values_of(annotation: Any) -> Any | None:
    """The annotation of the values of a table with free keys, or None when the annotation is no such table."""
    kind = bare(annotation)[0]
    return get_args(kind)[1] if get_origin(kind) is dict else None


def flagged(annotation: Any, word: str) -> bool:
    """Whether a `msgspec.Meta` on the annotation says so in its ``extra``: ``single``, an array of one may be
    written without its brackets; ``secret``, the value is shown to nobody."""
    return any(meta.extra and meta.extra.get(word) for meta in bare(annotation)[1])


def choices_of(annotation: Any) -> tuple[str, ...]:
    """The accepted words of a `Literal`; empty for every other type."""
    kind = bare(annotation)[0]
    if get_origin(kind) is Literal:
        return tuple(str(word) for word in get_args(kind))
    return ()


def describe(annotation: Any) -> str:
    """What is accepted, in words: ``int between 1 and 256``, ``one of "full", "none"``, ``array of
    string``."""
    kind, metas = bare(annotation)
    item = items_of(annotation)
    if item is not None:
        if struct_of(item):
            return "an array of tables"
        one = describe(item)
        return f"{one} or array of {one}" if flagged(annotation, "single") else f"array of {one}"
    if is_struct(kind) or values_of(annotation) is not None:
        return "a table"
    words = choices_of(annotation)
    if words:
        return "one of " + ", ".join(f'"{word}"' for word in words) if len(words) > 1 else f'"{words[0]}"'
    if kind is Duration:
        between = duration_bounds(annotation)
        kind_and_bounds = f'duration between "{between[0]}" and "{between[1]}"' if between else "duration"
        return f'{kind_and_bounds} such as "90s", "5m" or "1h30m"'
    names = {bool: "true or false", int: "int", float: "number", str: "string", Path: "path"}
    text = names.get(kind, getattr(kind, "__name__", str(kind)))
    low, high = bounds(metas)
    if low is not None and high is not None:
        return f"{text} between {low:_} and {high:_}"
    if low is not None:
        return f"{text}, at least {low:_}"
    if high is not None:
        return f"{text}, at most {high:_}"
    if any(meta.min_length for meta in metas):
        return f"non-empty {text}"
    return text


def bounds(metas: list[msgspec.Meta]) -> tuple[float | None, float | None]:
    """The least and the greatest accepted number."""
    low = [meta.ge for meta in metas if meta.ge is not None]
    high = [meta.le for meta in metas if meta.le is not None]
    return (low[0] if low else None), (high[0] if high else None)


def duration_bounds(annotation: Any) -> tuple[Duration, Duration] | None:
    """The least and the greatest accepted duration, which stand as text in the ``extra`` of a `msgspec.Meta`:
    ``{"between": ("1s", "7d")}``."""
    for meta in bare(annotation)[1]:
        if meta.extra and "between" in meta.extra:
            low, high = meta.extra["between"]
            return parse_duration(low), parse_duration(high)
    return None


def fields_of(cls: type[msgspec.Struct]) -> Iterator[msgspec.structs.FieldInfo]:
    """The fields of a struct in the order of their declaration, which is the order of the documents."""
    yield from msgspec.structs.fields(cls)


def key_paths(cls: type[msgspec.Struct], path: str = "") -> Iterator[str]:
    """The dotted path of every key of ``cls`` and of the tables in it."""
    for field in fields_of(cls):
        full = f"{path}.{field.encode_name}" if path else field.encode_name
        yield full
        inner = struct_of(field.type) or struct_of(items_of(field.type))
        if inner is not None:
            yield from key_paths(inner, full)
