"""A fault is told by its kind and its place alone."""

import pytest

from fastsmtp.defects import describe


def raises() -> None:
    raise ValueError("secret\r\n")


def test_the_place_is_where_it_was_raised() -> None:
    with pytest.raises(ValueError, match="secret") as caught:
        raises()
    line = raises.__code__.co_firstlineno + 1
    assert describe(caught.value) == f"internal error, ValueError at test_defects.py:{line}"


def test_one_that_was_never_raised() -> None:
    assert describe(ValueError("secret")) == "internal error, ValueError"
