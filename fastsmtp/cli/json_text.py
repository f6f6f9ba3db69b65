"""JSON as commands print it."""

from typing import Any

import msgspec
import orjson


def as_json_text(facts: Any) -> str:
    """``facts``, of the types of JSON, as JSON for people."""
    return "\n".join(map(_harmless, orjson.dumps(facts, option=orjson.OPT_INDENT_2).decode().split("\n")))


def as_json_line(facts: Any) -> str:
    """``facts``, which may hold values of ours, as JSON in one line."""
    return _harmless(msgspec.json.encode(facts).decode())


def _harmless(line: str) -> str:
    """JSON that no terminal takes for commands: what is not printable is written as ``\\u`` and digits,
    which JSON itself asks of few such characters only."""
    return line if line.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in line)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
