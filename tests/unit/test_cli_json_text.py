"""JSON that a terminal takes for nothing but text."""

import json

from fastsmtp.cli.json_text import as_json_line, as_json_text

EVIL = {"a": "\x1b[31m \x7f\x9b\u202e \U000e0041", "b": 1}


def test_what_is_not_printable_is_escaped() -> None:
    for text in (as_json_text(EVIL), as_json_line(EVIL)):
        assert all(line.isprintable() for line in text.split("\n"))
        assert json.loads(text) == EVIL


def test_for_people_there_are_lines() -> None:
    assert as_json_text({"a": 1}) == '{\n  "a": 1\n}'
    assert as_json_line({"a": 1}) == '{"a":1}'
