"""The layer check finds what it is there to find, in a small tree of its own."""

from pathlib import Path

import pytest

from tools.layers import HEADING, faults, find_cycle, read_table

DOCUMENT = f"""# A
| x | y |
{HEADING}
| package | may import |
|---|---|
| `mail` | – |
| `config` | mail |
| `smtp` | mail |
| `process` | all but cli |
| `cli` | process |
| `ext` (sources) | mail |

## Further
| `no` | row |
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/architecture.md").write_text(DOCUMENT)
    for package in ("mail", "config", "smtp", "process", "cli"):
        write(tmp_path, f"fastsmtp/{package}/__init__.py")
    write(tmp_path, "fastsmtp/__init__.py", '__version__ = "1"\n')
    write(tmp_path, "fastsmtp/__main__.py", "from fastsmtp.cli import x\n")
    write(tmp_path, "fastsmtp/mail/a.py", "import os\n")
    write(tmp_path, "fastsmtp/config/c.py", "from fastsmtp.mail import a\n")
    write(tmp_path, "fastsmtp/smtp/s.py", "if TYPE_CHECKING:\n    from fastsmtp.mail import a\n")
    write(tmp_path, "fastsmtp/cli/x.py", "import fastsmtp\nfrom fastsmtp.process import p\n")
    write(
        tmp_path,
        "fastsmtp/process/p.py",
        "import socket\nfrom ..mail import a\nfrom fastsmtp.config import *\n",
    )
    write(tmp_path, "ext/fastsmtp/_core/m.pyx", "cimport cython\nfrom fastsmtp.mail.a import b\n")
    return tmp_path


def write(root: Path, name: str, text: str = "") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_table() -> None:
    table = read_table(DOCUMENT)
    assert table == {
        "mail": frozenset(),
        "config": frozenset({"mail"}),
        "smtp": frozenset({"mail"}),
        "process": frozenset({"mail", "config", "smtp", "process", "ext"}),
        "cli": frozenset({"process"}),
        "ext": frozenset({"mail"}),
    }
    with pytest.raises(ValueError, match="no heading"):
        read_table("nothing")


def test_a_good_tree(tree: Path) -> None:
    assert faults(tree) == []


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        (
            "fastsmtp/mail/b.py",
            "def f():\n    from fastsmtp.config import q\n",
            "2: mail may not import config",
        ),
        ("fastsmtp/mail/b.py", "import fastsmtp.config.q\n", "1: mail may not import config"),
        ("fastsmtp/config/b.py", "from ..smtp import c\n", "1: config may not import smtp"),
        ("fastsmtp/config/b.py", "from fastsmtp import smtp\n", "1: config may not import smtp"),
        ("fastsmtp/process/b.py", "from fastsmtp.cli.x import y\n", "1: process may not import cli"),
        ("fastsmtp/smtp/b.py", "import asyncio.streams\n", "1: smtp does no I/O and may not import asyncio"),
        ("fastsmtp/config/b.py", "import click\n", "1: only cli may import click"),
        ("fastsmtp/config/b.py", "import lmdb\n", "1: only store and spool may import lmdb"),
        ("fastsmtp/__init__.py", "import fastsmtp.mail.a\n", "1: fastsmtp itself imports nothing of it"),
        ("ext/fastsmtp/_core/n.pyx", "\nfrom fastsmtp.config cimport q\n", "2: ext may not import config"),
    ],
)
def test_a_forbidden_import(tree: Path, name: str, text: str, fault: str) -> None:
    write(tree, name, text)
    assert faults(tree) == [f"{name}:{fault}"]


def test_a_permission_that_nobody_uses(tree: Path) -> None:
    write(tree, "fastsmtp/config/c.py")
    (tree / "ext/fastsmtp/_core/m.pyx").unlink()
    assert faults(tree) == [
        "docs/architecture.md: config does not import mail: take it out of the row",
        "docs/architecture.md: ext does not import mail: take it out of the row",
    ]


def test_document_and_disk_agree(tree: Path) -> None:
    write(tree, "fastsmtp/new/__init__.py")
    (tree / "fastsmtp/smtp/__init__.py").unlink()
    (tree / "fastsmtp/smtp/s.py").unlink()
    assert faults(tree) == [
        "docs/architecture.md: new has no row",
        "docs/architecture.md: smtp is not on disk",
    ]


def test_a_cycle(tree: Path) -> None:
    write(tree, "fastsmtp/mail/a.py", "from fastsmtp.mail import b\n")
    write(tree, "fastsmtp/mail/b.py", "import fastsmtp.mail.a\n")
    assert faults(tree) == ["circular import: fastsmtp.mail.a -> fastsmtp.mail.b -> fastsmtp.mail.a"]


def test_an_import_for_types_makes_no_cycle(tree: Path) -> None:
    write(tree, "fastsmtp/mail/a.py", "from fastsmtp.mail import b\n")
    write(tree, "fastsmtp/mail/b.py", "if TYPE_CHECKING:\n    from fastsmtp.mail import a\n")
    assert faults(tree) == []


def test_cycles_in_a_graph() -> None:
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": set(), "d": {"a", "c"}}) == []
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
