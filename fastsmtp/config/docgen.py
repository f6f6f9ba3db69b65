"""Documents made from the settings structs: the reference in Markdown and the annotated sample file.

A field's `msgspec.Meta` says it all: ``description``; ``examples``, whose first stands uncommented in the
sample; ``extra`` with ``unit`` and with ``default``, the words for a default that is computed.
"""

import inspect
from collections.abc import Iterator
from typing import Any

import msgspec

from fastsmtp.config.bind import toml_value
from fastsmtp.config.kinds import bare, describe, fields_of, items_of, struct_of

_WIDTH = 100

Field = msgspec.structs.FieldInfo


def reference(cls: type[msgspec.Struct]) -> str:
    """The settings in Markdown: one section a table, one row a key."""
    lines = ["# Settings", "", _about(cls), ""]
    for name, struct, many in _tables(cls):
        if name:
            lines += [f"## `[[{name}]]`" if many else f"## `[{name}]`", "", _about(struct), ""]
        lines += ["| key | accepted | default | meaning |", "|---|---|---|---|"]
        for field in _plain(struct):
            accepted = describe(field.type).replace("|", "\\|")
            lines.append(f"| `{field.encode_name}` | {accepted} | {_default(field)} | {_meaning(field)} |")
        lines.append("")
    return "\n".join(lines)


def sample(cls: type[msgspec.Struct]) -> str:
    """A settings file that is good as it stands: keys with an example are set to it, the others show their
    default in a comment."""
    lines: list[str] = []
    for name, struct, many in _tables(cls):
        if name:
            lines += ["", f"[[{name}]]" if many else f"[{name}]"]
        lines += _comment(_about(struct).replace("`", ""))
        for field in _plain(struct):
            lines += ["", *_comment(_meaning(field).replace("`", ""))]
            lines.append(_assignment(field))
    return "\n".join(lines) + "\n"


def _tables(cls: type[msgspec.Struct]) -> Iterator[tuple[str, type[msgspec.Struct], bool]]:
    """Name, struct and whether there may be many, of the top level (named "") and each table below it."""
    yield "", cls, False
    for field in fields_of(cls):
        one, many = struct_of(field.type), struct_of(items_of(field.type))
        if one is not None:
            yield field.encode_name, one, False
        elif many is not None:
            yield field.encode_name, many, True


def _plain(cls: type[msgspec.Struct]) -> list[Field]:
    return [f for f in fields_of(cls) if struct_of(f.type) is None and struct_of(items_of(f.type)) is None]


def _about(cls: type[msgspec.Struct]) -> str:
    return " ".join((inspect.getdoc(cls) or "").split()).replace("``", "`")


def _meaning(field: Field) -> str:
    for meta in bare(field.type)[1]:
        if meta.description:
            return meta.description
    raise ValueError(f"the setting {field.name} has no description")


def _extra(field: Field, key: str) -> str:
    for meta in bare(field.type)[1]:
        if meta.extra and key in meta.extra:
            return str(meta.extra[key])
    return ""


def _value(field: Field) -> Any:
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()


def _default(field: Field) -> str:
    if field.required:
        return "(to be given)"
    words = _extra(field, "default")
    if words:
        return words
    value = _value(field)
    unit = _extra(field, "unit")
    return "(none)" if value is None else f"`{toml_value(value)}`" + (f" {unit}" if unit else "")


def _assignment(field: Field) -> str:
    examples = [example for meta in bare(field.type)[1] for example in meta.examples or ()]
    if examples:
        return f"{field.encode_name} = {toml_value(examples[0])}"
    words = _extra(field, "default")
    if words or _value(field) is None:
        return f"# {field.encode_name} =          # default: {words or 'none'}"
    unit = _extra(field, "unit")
    return f"# {field.encode_name} = {toml_value(_value(field))}" + (f"  # {unit}" if unit else "")


def _comment(text: str) -> list[str]:
    lines, line = [], "#"
    for word in text.split():
        if len(line) + 1 + len(word) > _WIDTH:
            lines.append(line)
            line = "#"
        line += " " + word
    return [*lines, line]
