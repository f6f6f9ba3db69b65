"""Sizes and passwords as people write them."""

from types import SimpleNamespace

import click.termui
import pytest

from fastsmtp.cli.accounts_run import parse_size, read_password, size_text
from fastsmtp.cli.options import Stop


@pytest.mark.parametrize(
    ("text", "size", "again"),
    [
        ("none", 0, "none"),
        ("0", 0, "none"),
        ("1500", 1500, "1500"),
        ("1024", 1024, "1K"),
        ("500M", 500 << 20, "500M"),
        ("2GiB", 2 << 30, "2G"),
        ("2gb", 2 << 30, "2G"),
        ("3T", 3 << 40, "3T"),
    ],
)
def test_sizes(text: str, size: int, again: str) -> None:
    assert parse_size(text) == size
    assert size_text(size) == again
    assert parse_size(again) == size


@pytest.mark.parametrize("text", ["", "-1", "much", "1.5G", "5X", "B", "9" * 30])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        parse_size(text)


def test_a_terminal_asks_twice_and_shows_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    typed = iter(["secret-1", "secret-2", "sécret-3", "sécret-3"])
    monkeypatch.setattr(click.termui, "hidden_prompt_func", lambda prompt: next(typed))
    assert read_password(False) == "sécret-3".encode()
    out, err = capsys.readouterr()
    assert out == ""
    assert "secret" not in err


def test_what_a_terminal_cannot_have_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(click.termui, "hidden_prompt_func", lambda prompt: "secret\udcff")
    with pytest.raises(Stop) as caught:
        read_password(False)
    assert "secret" not in " ".join(caught.value.lines)
