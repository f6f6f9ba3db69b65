"""The compiled finder of a ledger's keys and its plain twin, under the same tests."""

from array import array
from typing import Any

import pytest

from fastsmtp._core import _py_ledger

try:
    from fastsmtp._core import ledger as compiled  # type: ignore[attr-defined]
except ImportError:
    compiled = _py_ledger


@pytest.fixture(params=["c", "py"])
def core(request: pytest.FixtureRequest) -> Any:
    return compiled if request.param == "c" else _py_ledger


def found(core: Any, data: bytes, base: int = 0) -> list[tuple[int, int]]:
    """Hash and position of each entry."""
    return [(entry >> 32, entry & 0xFFFFFFFF) for entry in array("Q", core.entries(data, base))]


LINE = (
    rb'{"kind":"received","v":1,"at":1.5,"id":"A1","from":"a@b","to":["c@d","e@f"],"n":null,'
    rb'"more":{"id":"inner","list":["}",{"to":"no"}]},"message_id":"<m@x>"}'
)


def test_the_keys_of_a_line(core: Any) -> None:
    keys = [("i", b"A1"), ("f", b"a@b"), ("t", b"c@d"), ("t", b"e@f"), ("m", b"<m@x>")]
    assert found(core, LINE + b"\n", 7) == sorted((core.key(kind, value), 7) for kind, value in keys)


def test_lines_are_found_by_where_they_begin(core: Any) -> None:
    data = b"".join(b'{"id":"%d"}\n' % (i % 3) for i in range(3000))
    at = array("Q", core.entries(data, 0))
    assert list(at) == sorted(at)
    ones = [entry & 0xFFFFFFFF for entry in at if entry >> 32 == core.key("i", b"1")]
    assert ones == [11 * i for i in range(1, 3000, 3)]


def test_capital_letters_of_ascii_are_as_small_ones(core: Any) -> None:
    assert core.key("t", b"Alice@Example.ORG") == core.key("t", b"alice@example.org")
    assert core.key("t", "Ä@x".encode()) != core.key("t", "ä@x".encode())


def test_kinds_are_apart_and_an_id_is_one_whatever_names_it(core: Any) -> None:
    assert len({core.key(kind, b"x") for kind in "ftim"}) == 4
    [about] = found(core, b'{"about":"X"}\n')
    [its] = found(core, b'{"id":"X"}\n')
    assert about == its


def test_a_quote_in_a_value_ends_nothing(core: Any) -> None:
    assert found(core, rb'{"text":"\\\",\"id\":\"no\\","from":"\"a b\"@c"}' + b"\n") == [
        (core.key("f", rb"\"a b\"@c"), 0)
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"{}",
        b"\0" * 20,
        b'{"id"',
        b'{"id":',
        b'{"id":"',
        b'{"id":"x\\"}',
        b'["id"]',
        b'{"to":[x]}',
        b"{{",
    ],
)
def test_what_is_no_event_has_no_keys(core: Any, line: bytes) -> None:
    assert found(core, line + b"\n" + b'{"id":"x"}\n') == [(core.key("i", b"x"), len(line) + 1)]


def test_a_line_without_its_end_is_not_looked_at(core: Any) -> None:
    assert found(core, b'{"id":"x"}\n{"id":"y"}') == [(core.key("i", b"x"), 0)]


def test_a_fault_hides_only_what_follows_in_its_line(core: Any) -> None:
    assert found(core, b'{"id":"x","a":}{,"to":"y"}\n') == [(core.key("i", b"x"), 0)]


def test_runs_become_one(core: Any) -> None:
    lines = [b'{"id":"%d","to":"%d"}\n' % (i % 5, i % 7) for i in range(500)]
    data = b"".join(lines)
    cut = len(b"".join(lines[:200]))
    runs = core.entries(data[:cut], 0) + core.entries(data[cut:], cut)
    assert core.merge(runs) == core.entries(data, 0)
    assert core.merge(b"") == b""
    with pytest.raises(ValueError, match="whole"):
        core.merge(b"123")


def test_what_was_merged_is_left_as_it_was(core: Any) -> None:
    runs = array("Q", [9 << 32, 1 << 32]).tobytes()
    kept = bytes(bytearray(runs))
    assert core.merge(runs) == runs[8:] + runs[:8]
    assert runs == kept


def test_positions_have_32_bits(core: Any) -> None:
    line = b'{"id":"x"}\n'
    assert found(core, line, (1 << 32) - len(line)) == [(core.key("i", b"x"), (1 << 32) - len(line))]
    with pytest.raises(ValueError, match="4 GiB"):
        core.entries(line, (1 << 32) - len(line) + 1)
