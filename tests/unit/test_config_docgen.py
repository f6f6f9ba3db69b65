"""The reference and the sample file come from the structs."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from fastsmtp.config.bind import bind
from fastsmtp.config.docgen import reference, sample, written


class Below(Struct, frozen=True, kw_only=True):
    """A table in a ``table``."""

    depth: Annotated[int, Meta(description="How deep.")] = 2


class Absent(Struct, frozen=True, kw_only=True):
    """A table that is not there."""

    width: Annotated[int, Meta(description="How wide.", examples=[3])]


class Table(Struct, frozen=True, kw_only=True):
    """About the ``table``."""

    mode: Annotated[Literal["a", "b"], Meta(description="Which `mode`.")] = "a"
    limit: Annotated[int, Meta(ge=0, description="How many.", extra={"unit": "seconds"})] = 20_000
    levels: Annotated[
        dict[str, Literal["a", "b"]], Meta(description="Which `mode` for whom.", examples=[{"x.test": "b"}])
    ] = {}
    below: Below = Below()
    absent: Absent | None = None


class Item(Struct, frozen=True, kw_only=True):
    """One item."""

    name: Annotated[str, Meta(description="Its name.", examples=["x"])]


class Root(Struct, frozen=True, kw_only=True):
    """About all."""

    title: Annotated[str, Meta(description="A title. " * 20, examples=["t"])]
    cpus: Annotated[int, Meta(description="CPUs.", extra={"default": "all"})] = msgspec.field(
        default_factory=lambda: 4
    )
    user: Annotated[str | None, Meta(description="User.")] = None
    table: Table = Table()
    needed: tuple[Item, ...]
    items: tuple[Item, ...] = ()
    named: dict[str, Item] = {}
    free: Annotated[
        dict[str, tuple[str, ...]], Meta(description="Names `of` things.", examples=[{"a@b": ["c"], "d": ["e"]}])
    ] = {}


def test_reference() -> None:
    text = reference(Root)
    assert "# Settings\n\nAbout all.\n" in text
    assert "| `cpus` | int | all | CPUs. |" in text
    assert "| `user` | string | (none) | User. |" in text
    assert "## `[table]`\n\nAbout the `table`.\n" in text
    assert '| `mode` | one of "a", "b" | `"a"` | Which `mode`. |' in text
    assert "| `limit` | int, at least 0 | `20_000` seconds | How many. |" in text
    assert '## `[table.levels]`\n\nWhich `mode` for whom.\n\nEach value: one of "a", "b".\n' in text
    assert "## `[table.below]`\n\nA table in a `table`.\n\n| key |" in text
    assert "| `depth` | int | `2` | How deep. |" in text
    assert "## `[[items]]`" in text
    assert "| `name` | string | (to be given) | Its name. |" in text
    assert "## `[named.NAME]`\n\nOne item.\n\n| key |" in text
    assert "## `[free]`\n\nNames `of` things.\n\nEach value: array of string.\n" in text


def test_sample_is_a_good_file() -> None:
    text = sample(Root)
    assert bind(tomllib.loads(text), Root) == Root(title="t", needed=(Item(name="x"),))
    assert '\n# Which mode.\n# mode = "a"\n' in text
    assert "\n# limit = 20_000  # seconds\n" in text
    assert "\n# cpus =          # default: all\n" in text
    assert max(map(len, text.splitlines())) <= 100


def test_tables_that_may_be_missing_are_comments() -> None:
    text = sample(Root)
    assert '\n\n[[needed]]\n# One item.\n\n# Its name.\nname = "x"\n' in text
    assert '\n\n# [[items]]\n# One item.\n\n# Its name.\n# name = "x"\n' in text
    assert '\n\n# [named.NAME]\n# One item.\n\n# Its name.\n# name = "x"\n' in text
    assert '\n\n# [table.levels]\n# Which mode for whom.\n\n# "x.test" = "b"\n' in text
    assert "\n\n# [table.absent]\n# A table that is not there.\n\n# How wide.\n# width = 3\n" in text
    assert '\n\n# [free]\n# Names of things.\n\n# "a@b" = ["c"]\n# d = ["e"]\n' in text


def test_every_setting_is_described() -> None:
    class Bare(Struct):
        """Bare."""

        silent: int = 0

    with pytest.raises(ValueError, match="silent has no description"):
        reference(Bare)
    assert Path(__file__).exists()


def test_a_file_of_chosen_values_is_good_and_holds_nothing_else() -> None:
    values = {
        "": [{"title": 'a "b"'}],
        "table": [{"limit": 5}],
        "needed": [{"name": "one"}, {"name": "two"}],
    }
    text = written(Root, values)
    assert bind(tomllib.loads(text), Root) == Root(
        title='a "b"', table=Table(limit=5), needed=(Item(name="one"), Item(name="two"))
    )
    assert '# mode = "a"' in text  # the others are there to be found
    assert "# user =          # default: none" in text
