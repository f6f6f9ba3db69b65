"""Waiting for a condition with a deadline: the only way these tests wait."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def until(what: str, condition: Callable[[], Value], seconds: float, pause: float = 0.02) -> Value:
    """Call ``condition`` until it is true and return its value; fail the test after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what} (last seen: {value!r})")
        time.sleep(pause)
