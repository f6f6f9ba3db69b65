"""The table of events in docs/logging.md, from the types."""

import msgspec

from fastsmtp.telemetry.events import KINDS, Event

BEGIN, END = "<!-- events -->\n", "<!-- end -->\n"


def page(text: str) -> str:
    """``text`` with the table between its marks as it is now. Raises ValueError when it lacks one."""
    start = text.index(BEGIN) + len(BEGIN)
    return text[:start] + table() + text[text.index(END, start) :]


def table() -> str:
    """All kinds with their fields."""
    lines = ["| kind | field | type | meaning |", "|---|---|---|---|"]
    for kind in KINDS:
        info = msgspec.inspect.type_info(kind)
        assert isinstance(info, msgspec.inspect.StructType)
        lines.append(f"| **`{info.tag}`** | | | {(kind.__doc__ or '').strip()} |")
        shared = len(msgspec.structs.fields(Event))
        for field in info.fields[shared:]:
            assert isinstance(field.type, msgspec.inspect.Metadata)
            meaning = (field.type.extra_json_schema or {})["description"]
            optional = "" if field.required else ", or absent"
            lines.append(f"| | `{field.encode_name}` | {_type(field.type.type)}{optional} | {meaning} |")
    return "\n".join(lines) + "\n"


def _type(kind: msgspec.inspect.Type) -> str:
    if isinstance(kind, msgspec.inspect.UnionType):
        return " or ".join(_type(one) for one in kind.types if not isinstance(one, msgspec.inspect.NoneType))
    if isinstance(kind, msgspec.inspect.CollectionType):
        return "list of strings"
    names = {msgspec.inspect.StrType: "string", msgspec.inspect.LiteralType: "string"}
    names |= {msgspec.inspect.IntType: "integer", msgspec.inspect.FloatType: "number"}
    names[msgspec.inspect.BoolType] = "true or false"
    return names[type(kind)]
