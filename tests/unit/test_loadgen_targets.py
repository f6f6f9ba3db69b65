"""Targets as the command line names them."""

import pytest

from fastsmtp.loadgen.plan import Target
from fastsmtp.loadgen.targets import parse_label, parse_listen, parse_target


def test_targets_are_read() -> None:
    assert parse_target("127.0.0.1:2525") == Target("127.0.0.1:2525", "127.0.0.1", 2525)
    assert parse_target("[::1]:25") == Target("[::1]:25", "::1", 25)
    assert parse_target("localhost:25").loopback
    assert parse_label("old=127.0.0.1:2526") == Target("old", "127.0.0.1", 2526)
    assert parse_listen("127.0.0.1:0").port == 0


@pytest.mark.parametrize(
    "text", ["", "127.0.0.1", ":25", "a:b:25", "127.0.0.1:0", "127.0.0.1:65536", "[x]:25"]
)
def test_bad_targets_say_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT|port 0"):
        parse_target(text)


@pytest.mark.parametrize("text", ["127.0.0.1:25", "=127.0.0.1:25"])
def test_a_label_needs_a_name(text: str) -> None:
    with pytest.raises(ValueError, match="NAME=HOST:PORT"):
        parse_label(text)
