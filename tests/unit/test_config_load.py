"""A file that is no TOML is refused with its name and the line."""

from pathlib import Path

import pytest

from fastsmtp.config.errors import SettingsError
from fastsmtp.config.load import load_toml, parse_toml


def test_reads_tables(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('hostname = "mx.example.org"\n[limits]\nerrors = 3\n')
    assert load_toml(file) == {"hostname": "mx.example.org", "limits": {"errors": 3}}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a = 1\nb = = 2\n", 2, "Invalid value in column 5"),
        ("a = 1\na = 2\n", 2, "Cannot overwrite a value"),
        ("a = 1\na = 2\nb = 3\n", 2, "; this key or table stands twice"),
        ("[a]\n[b]\n[a]\n", 3, "; this table stands twice"),
        ("a = mx.example.org\n", 1, "; a text stands in quotation marks"),
        ("a = 10MB\n", 1, "; a text stands in quotation marks"),
        ('a = "C:\\q"\n', 1, "; write '...' around"),
        ("a = 1\n\n[limits\n", 3, "in column"),
        ('a = "x', 1, "at the end of the file"),
        ("a =", 1, "at the end of the file"),
    ],
)
def test_bad_toml_names_the_line(text: str, line: int, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_toml(text, "f.toml")
    (problem,) = caught.value.problems
    assert problem.startswith(f"f.toml:{line}: not valid TOML: ")
    assert says in problem
    assert "\n" not in problem


def test_not_utf8_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(b'a = 1\nb = "\xff"\n')
    with pytest.raises(SettingsError, match=r"a\.toml:2: not UTF-8"):
        load_toml(file)


def test_missing_file_and_directory(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: cannot be read: No such file"):
        load_toml(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match=r"cannot be read: Is a directory"):
        load_toml(tmp_path)


def test_too_deep() -> None:
    with pytest.raises(SettingsError, match=r"^x\.toml: not valid TOML: .* too deep$"):
        parse_toml("a = " + "[" * 100_000, "x.toml")
