"""A fault of the program is told in one line with its place."""

import pytest

from fastsmtp.spool.faults import no_fault, told


def test_the_place_is_that_of_the_last_frame() -> None:
    def deep() -> None:
        raise ValueError("odd")

    with pytest.raises(ValueError, match="odd") as caught:
        deep()
    line = deep.__code__.co_firstlineno + 1
    assert told(caught.value) == f"ValueError('odd') at test_spool_faults.py:{line}"


def test_an_error_never_raised_has_no_place() -> None:
    assert told(ValueError("odd")) == "ValueError('odd')"


def test_nothing_goes_wrong_in_a_server() -> None:
    no_fault("written")
