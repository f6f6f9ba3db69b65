"""Tables become structs, and every fault is named by the path of its key."""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from fastsmtp.config.bind import bind, toml_value
from fastsmtp.config.errors import SettingsError
from fastsmtp.config.values import Duration


class Inner(Struct, frozen=True, kw_only=True):
    size: Annotated[int, Meta(ge=1, le=20_000)] = 7
    floor: Annotated[int, Meta(ge=0)] = 0
    ceiling: Annotated[int, Meta(le=9)] = 0
    names: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    mode: Literal["one", "two"] = "one"

    def __post_init__(self) -> None:
        if self.size == 13:
            raise ValueError("size: 13 brings bad luck")


class Item(Struct, frozen=True, kw_only=True):
    name: str


class Whole(Struct, frozen=True, kw_only=True):
    title: str
    place: Path = Path("/x")
    ratio: float = 0.5
    flag: bool = False
    maybe: str | None = None
    inner: Inner = Inner()
    items: tuple[Item, ...] = ()
    named: dict[str, Item] = {}
    lists: dict[str, Annotated[tuple[str, ...], Meta(extra={"single": True})]] = {}
    hidden: Annotated[str | None, Meta(extra={"secret": True})] = None


def faults(table: dict[str, Any]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        bind({"title": "t", **table}, Whole)
    for problem in caught.value.problems:
        assert "\n" not in problem
    return list(caught.value.problems)


def test_defaults() -> None:
    assert bind({"title": "t"}, Whole) == Whole(title="t")


def test_everything_set() -> None:
    table = {
        "title": "t",
        "place": "/tmp",
        "ratio": 1,
        "flag": True,
        "maybe": "m",
        "inner": {"size": 3, "names": ["a", "b"], "mode": "two"},
        "items": [{"name": "x"}, {"name": "y"}],
    }
    assert bind(table, Whole) == Whole(
        title="t",
        place=Path("/tmp"),
        ratio=1.0,
        flag=True,
        maybe="m",
        inner=Inner(size=3, names=("a", "b"), mode="two"),
        items=(Item(name="x"), Item(name="y")),
    )


def test_tables_with_free_keys() -> None:
    whole = bind(
        {"title": "t", "named": {"a": {"name": "x"}}, "lists": {"p@q": "one", "r": ["a", "b"]}}, Whole
    )
    assert whole.named == {"a": Item(name="x")}
    assert whole.lists == {"p@q": ("one",), "r": ("a", "b")}


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"named": {"a b": {"name": 1}}}, 'named."a b".name: expected string, got 1'),
        ({"named": {"a": 1}}, "named.a: expected a table, got 1"),
        ({"named": [1]}, "named: expected a table, got [1]"),
        ({"lists": {"p@q": 1}}, 'lists."p@q": expected string or array of string, got 1'),
        ({"lists": {"p@q": ["a", 2]}}, 'lists."p@q"[1]: expected string, got 2'),
        ({"hidden": 123456}, "hidden: expected string, got something else"),
        ({"flag": "x" * 100}, 'flag: expected true or false, got "' + "x" * 58 + "…"),
        ({"title": 5}, "title: expected string, got 5"),
        ({"ratio": "x"}, 'ratio: expected number, got "x"'),
        ({"flag": "yes"}, 'flag: expected true or false, got "yes"'),
        ({"flag": 1}, "flag: expected true or false, got 1"),
        ({"place": 3}, "place: expected path, got 3"),
        ({"place": ""}, 'place: expected path, got ""'),
        ({"place": "a\0b"}, 'place: expected path, got "a\\U00000000b"'),
        ({"maybe": 1}, "maybe: expected string, got 1"),
        ({"inner": {"mode": "three"}}, 'inner.mode: expected one of "one", "two", got "three"'),
        ({"inner": {"size": 0}}, "inner.size: expected int between 1 and 20_000, got 0"),
        ({"inner": {"size": True}}, "inner.size: expected int between 1 and 20_000, got true"),
        ({"inner": {"size": 30_000}}, "inner.size: expected int between 1 and 20_000, got 30_000"),
        ({"inner": {"floor": -1}}, "inner.floor: expected int, at least 0, got -1"),
        ({"inner": {"ceiling": 10}}, "inner.ceiling: expected int, at most 9, got 10"),
        ({"inner": {"names": "a"}}, 'inner.names: expected array of non-empty string, got "a"'),
        ({"inner": {"names": ["a", ""]}}, 'inner.names[1]: expected non-empty string, got ""'),
        ({"inner": {"size": 13}}, "inner.size: 13 brings bad luck"),
        ({"inner": 4}, "inner: expected a table, got 4"),
        ({"items": {"name": "x"}}, "items: expected an array of tables, got a table; write [[items]]"),
        ({"items": [{"name": "x"}, {}]}, "items[1].name: missing; expected string"),
        ({"items": [5]}, "items[0]: expected a table, got 5"),
        ({"inner": {"sise": 1}}, 'inner.sise: no such key; did you mean "size"?'),
        ({"inner": {"flag": True}}, "inner.flag: no such key; it belongs above the first [table]"),
        ({"mode": "one"}, "mode: no such key; it belongs under [inner]"),
        ({"items": [{"name": "a", "zzz": 1}]}, "items[0].zzz: no such key; known here are name"),
    ],
)
def test_one_fault(table: dict[str, Any], problem: str) -> None:
    assert faults(table) == [problem]


def test_all_faults_at_once() -> None:
    assert faults({"ratio": "x", "inner": {"size": 0, "nothing": 1}, "items": [{}]}) == [
        'ratio: expected number, got "x"',
        "inner.nothing: no such key; known here are size, floor, ceiling, names, mode",
        "inner.size: expected int between 1 and 20_000, got 0",
        "items[0].name: missing; expected string",
    ]


def test_missing() -> None:
    with pytest.raises(SettingsError, match=r"^title: missing; expected string$"):
        bind({}, Whole)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('a"b\\\nü', '"a\\"b\\\\\\U0000000aü"'),
        (["a", 1, False], '["a", 1, false]'),
        (52_428_800, "52_428_800"),
        (("x",), '["x"]'),
        (Path("/a"), '"/a"'),
        (1.5, "1.5"),
        ({}, "a table"),
        ("x" * 100, '"' + "x" * 100 + '"'),
    ],
)
def test_values_as_they_stand_in_the_file(value: Any, text: str) -> None:
    assert toml_value(value) == text


def test_a_setting_is_of_one_type() -> None:
    class Odd(Struct):
        a: int | str = 0

    with pytest.raises(TypeError, match="one type"):
        bind({"a": 1}, Odd)


def test_the_error_is_its_lines() -> None:
    assert str(SettingsError(["a", "b"])) == "a\nb"
    assert issubclass(Whole, msgspec.Struct)


class Times(Struct, frozen=True, kw_only=True):
    pauses: tuple[Annotated[Duration, Meta(extra={"between": ("1s", "2d")})], ...] = ()
    free: Duration = Duration(5)


def test_durations() -> None:
    times = bind({"pauses": ["1s", "1h30m", "2d"], "free": "0s"}, Times)
    assert times == Times(pauses=(Duration(1), Duration(5400), Duration(172_800)), free=Duration(0))
    assert toml_value(times.pauses) == '["1s", "1h30m", "2d"]'


@pytest.mark.parametrize("value", ["0s", "2d1s", "5 m", "m", 60])
def test_bad_duration(value: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        bind({"pauses": ["1m", value]}, Times)
    assert caught.value.problems == (
        'pauses[1]: expected duration between "1s" and "2d" such as "90s", "5m" or "1h30m", '
        f"got {toml_value(value)}",
    )
