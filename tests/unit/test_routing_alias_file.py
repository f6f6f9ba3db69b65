"""The file of aliases that Unix machines have."""

import os
from pathlib import Path

import pytest

from fastsmtp.config.errors import SettingsError
from fastsmtp.routing.alias_file import FileAlias, read_aliases


def read(tmp_path: Path, text: str) -> dict[str, tuple[str, ...]]:
    """What the names of ``text`` stand for."""
    file = tmp_path / "aliases"
    file.write_text(text)
    return {name: alias.members for name, alias in read_aliases(file).items()}


def test_the_syntax(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("# members\na@b.c, d\n\n\\e\n")
    assert read(
        tmp_path,
        "# comment\n"
        "Postmaster: root\n"
        "root:\talice,\n"
        "  # in between\n"
        '\t"bob smith"@x.y , \\carol\n'
        '"odd name" : "alice"\n'
        f'staff: ":include:{tmp_path}/list"\n',
    ) == {
        "postmaster": ("root",),
        "root": ("alice", '"bob smith"@x.y', "carol"),
        "odd name": ("alice",),
        "staff": ("a@b.c", "d", "e"),
    }


def test_all_files_are_looked_at_before_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "aliases").write_text(f"x: :include:{tmp_path}/list\n")
    looked: list[Path] = []

    def look(file: Path) -> None:
        looked.append(file)
        (tmp_path / "list").write_text("a\n")

    found = read_aliases(tmp_path / "aliases", look)
    assert looked == [tmp_path / "aliases", tmp_path / "list"]
    assert found == {"x": FileAlias(f"{tmp_path}/aliases:1", ("a",))}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: |/bin/x", "commands are not run for mail"),
        ('a: "|/bin/x -f, y"', "commands are not run for mail"),
        ("a: /var/mail/a", "not put into files"),
        ("a: b\na: c", '"a" stands at'),
        ("a:", "stands for nobody"),
        ("a b c", 'expected "name: address'),
        ("a@b: c", "a name without @"),
        ("a: b c", 'expected a name or an address, got "b c"'),
        ("a: :include:x", "begins with /"),
        ('"a: b', 'expected "name: address'),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, "ok: fine\n" + text + "\n")
    [problem] = caught.value.problems
    assert problem.startswith(f"{tmp_path}/aliases:")
    assert words in problem


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_aliases(tmp_path / "none")
    with pytest.raises(SettingsError, match="No such file"):
        read(tmp_path, f"a: :include:{tmp_path}/none\n")
    (tmp_path / "b").write_bytes(b"a: b\nb: \xff\n")
    with pytest.raises(SettingsError, match=r"b:2: not UTF-8"):
        read_aliases(tmp_path / "b")


def test_files_in_each_other_come_to_an_end(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f":include:{tmp_path}/list\n")
    with pytest.raises(SettingsError, match="files in each other"):
        read(tmp_path, f"a: :include:{tmp_path}/list\n")


@pytest.mark.parametrize("kind", ["pipe", "directory", "device"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    """A list may belong to one of the users: a pipe in its place must not stop the server."""
    place = tmp_path / "list"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "directory":
        place.mkdir()
    else:
        place.symlink_to("/dev/zero")
    with pytest.raises(SettingsError, match=rf"{place}: (it is no regular file|cannot be read)"):
        read(tmp_path, f"staff: :include:{place}\n")
