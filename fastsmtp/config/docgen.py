"""Documents made from the settings structs: the reference in Markdown, the annotated sample file, and files of
chosen values.

A field's `msgspec.Meta` says it all: ``description``; ``examples``, whose first stands uncommented in the
sample; ``extra`` with ``unit`` and with ``default``, the words for a default that is computed.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from fastsmtp.config.bind import key_text, toml_value
from fastsmtp.config.kinds import bare, describe, fields_of, items_of, struct_of, values_of

_WIDTH = 100

Field = msgspec.structs.FieldInfo


class _Part(NamedTuple):
    """One table: ``head`` its line in a file, empty for the top level; ``optional``: a good file need not have it,
    and what the sample shows of it would not be everybody's; ``free``: the field whose keys are whatever one
    likes, with ``fields`` empty."""

    head: str
    about: str
    fields: list[Field]
    optional: bool = False
    free: Field | None = None


def reference(cls: type[msgspec.Struct]) -> str:
    """The settings in Markdown: one section a table, one row a key."""
    lines = ["# Settings", "", _about(cls), ""]
    for part in _parts(cls):
        if part.head:
            lines += [f"## `{part.head}`", "", part.about, ""]
        if part.free is not None:
            lines += [f"Each value: {describe(values_of(part.free.type))}.", ""]
            continue
        lines += ["| key | accepted | default | meaning |", "|---|---|---|---|"]
        for field in part.fields:
            accepted = describe(field.type).replace("|", "\\|")
            lines.append(f"| `{field.encode_name}` | {accepted} | {_default(field)} | {_meaning(field)} |")
        lines.append("")
    return "\n".join(lines)


def sample(cls: type[msgspec.Struct]) -> str:
    """A settings file that is good as it stands: keys with an example are set to it, the others show their
    default in a comment, and tables that may stand any number of times are comments as a whole."""
    lines: list[str] = []
    for part in _parts(cls):
        if part.head:
            lines += ["", f"# {part.head}" if part.optional else part.head]
        lines += _comment(part.about.replace("`", ""))
        if part.free is not None:
            lines += ["", *(f"# {line}" for line in _entries(part.free))]
        for field in part.fields:
            lines += ["", *_comment(_meaning(field).replace("`", ""))]
            assignment = _assignment(field)
            lines.append(f"# {assignment}" if part.optional and assignment[0] != "#" else assignment)
    return "\n".join(lines) + "\n"


def written(cls: type[msgspec.Struct], values: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """A settings file with ``values``, by the table they stand in (``""`` is the top level, a table that may stand
    several times has several): they are set, and all other keys show their default in a comment."""
    lines: list[str] = []
    for part in _parts(cls):
        tables = values.get(part.head.strip("[]"), ())
        absent = part.optional and not tables
        if part.head:
            lines += ["", f"# {part.head}" if absent else part.head]
        lines += _comment(part.about.replace("`", ""))
        if part.free is not None:
            lines += ["", *(f"# {line}" for line in _entries(part.free))]
        first = tables[0] if tables else {}
        for field in part.fields:
            lines += ["", *_comment(_meaning(field).replace("`", ""))]
            if field.encode_name in first:
                lines.append(f"{field.encode_name} = {toml_value(first[field.encode_name])}")
            else:
                lines.append(_commented(field))
        for table in tables[1:]:
            lines += ["", part.head, *(f"{key} = {toml_value(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _parts(cls: type[msgspec.Struct]) -> Iterator[_Part]:
    """The top level and each table below it."""
    yield _Part("", _about(cls), _plain(cls))
    for field in fields_of(cls):
        name = field.encode_name
        one, many = struct_of(field.type), struct_of(items_of(field.type))
        each = values_of(field.type)
        named = struct_of(each)
        if one is not None:
            yield _Part(f"[{name}]", _about(one), _plain(one))
            for inner in fields_of(one):
                below = struct_of(inner.type)
                if below is not None:
                    absent = inner.default is None
                    yield _Part(
                        f"[{name}.{inner.encode_name}]", _about(below), _plain(below), optional=absent
                    )
                elif values_of(inner.type) is not None:
                    yield _free(f"{name}.{inner.encode_name}", inner)
                elif (each_below := struct_of(items_of(inner.type))) is not None:
                    head = f"[[{name}.{inner.encode_name}]]"
                    yield _Part(head, _about(each_below), _plain(each_below), optional=True)
        elif many is not None:
            yield _Part(f"[[{name}]]", _about(many), _plain(many), optional=not field.required)
        elif named is not None:
            yield _Part(f"[{name}.NAME]", _about(named), _plain(named), optional=True)
        elif each is not None:
            yield _free(name, field)


def _free(path: str, field: Field) -> _Part:
    return _Part(f"[{path}]", _meaning(field), [], optional=True, free=field)


def _entries(field: Field) -> list[str]:
    """The example of a table with free keys, line by line."""
    examples = [example for meta in bare(field.type)[1] for example in meta.examples or ()]
    return [f"{key_text(key)} = {toml_value(value)}" for key, value in examples[0].items()]


def _plain(cls: type[msgspec.Struct]) -> list[Field]:
    return [
        field
        for field in fields_of(cls)
        if not (struct_of(field.type) or struct_of(items_of(field.type)) or values_of(field.type))
    ]


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
    return f"{field.encode_name} = {toml_value(examples[0])}" if examples else _commented(field)


def _commented(field: Field) -> str:
    """The default in a comment."""
    words = "to be given" if field.required else _extra(field, "default")
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
