"""Command-line values that are read by a function of the package that owns them."""

from collections.abc import Callable
from typing import Any

import click


class Parsed(click.ParamType[Any]):
    """A value read by ``parse``, which raises ValueError with one line that says what is wrong."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value; what is already read stays as it is."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
