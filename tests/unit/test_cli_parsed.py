"""Values read by functions that raise ValueError."""

import click
import pytest

from fastsmtp.cli.parsed import Parsed


def test_a_value_is_read_once_and_then_left_alone() -> None:
    number = Parsed("number", int)
    assert number.convert("7", None, None) == 7
    assert number.convert(7, None, None) == 7


def test_a_complaint_becomes_a_usage_error() -> None:
    with pytest.raises(click.UsageError, match="invalid literal"):
        Parsed("number", int).convert("x", None, None)
