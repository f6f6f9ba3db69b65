"""What a setting accepts, in words."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct

from fastsmtp.config.kinds import describe, key_paths
from fastsmtp.config.values import Duration


class Leaf(Struct):
    a: int = 0


class Root(Struct):
    leaf: Leaf
    many: tuple[Leaf, ...] = ()
    b: str = ""


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "int"),
        (float, "number"),
        (Path | None, "path"),
        (Literal["a"], '"a"'),
        (Literal["a", "b"], 'one of "a", "b"'),
        (tuple[str, ...], "array of string"),
        (Annotated[float, Meta(ge=1, le=5000)], "number between 1 and 5_000"),
        (Annotated[str | None, Meta(min_length=1)], "non-empty string"),
        (Leaf, "a table"),
        (tuple[Leaf, ...], "an array of tables"),
        (Annotated[tuple[str, ...], Meta(extra={"single": True})], "string or array of string"),
        (dict[str, Leaf], "a table"),
        (dict[str, int], "a table"),
        (Duration, 'duration such as "90s", "5m" or "1h30m"'),
        (
            tuple[Annotated[Duration, Meta(extra={"between": ("60s", "5d")})], ...],
            'array of duration between "1m" and "5d" such as "90s", "5m" or "1h30m"',
        ),
        (bytes, "bytes"),
    ],
)
def test_describe(annotation: Any, words: str) -> None:
    assert describe(annotation) == words


def test_key_paths() -> None:
    assert list(key_paths(Root)) == ["leaf", "leaf.a", "many", "many.a", "b"]
