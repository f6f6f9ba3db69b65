"""The rules of the house that a machine can check."""

import ast
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tools import conf_sample, layers, rfc_check

ROOT = Path(__file__).resolve().parent.parent
LONGEST_FILE = 600
SOURCES = ("fastsmtp", "ext", "tests", "tools", "bench")

BY_RUNNING = {
    "fastsmtp.__main__",
    "fastsmtp.process.app",
    "fastsmtp.process.worker",
    "fastsmtp.process.master",
}
"""Modules that only the running program shows at work: tests/system and tests/crash are their tests."""


WITHOUT_TEST = {"__init__.py", "base.py", "settings.py"}
"""Files of declarations: what they declare is tested where it is used."""


def run(*command: str) -> None:
    """Run a checker of this interpreter's environment; its output is the failure."""
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    if shutil.which(command[0], path=path) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


@cache
def sources() -> tuple[Path, ...]:
    """Every source file, without what tools have left there."""
    return tuple(
        path
        for top in SOURCES
        for path in sorted((ROOT / top).rglob("*"))
        if path.suffix in {".py", ".pyx", ".pxd", ".pyi"} and "var" not in path.relative_to(ROOT).parts
    )


def test_layers() -> None:
    assert layers.faults(ROOT) == []


def test_rfc_citations_resolve() -> None:
    assert rfc_check.faults(ROOT) == []


def test_generated_documents_are_fresh() -> None:
    assert conf_sample.outdated(ROOT) == [], "run `make docs`"


def test_file_lengths() -> None:
    long = {
        str(path.relative_to(ROOT)): length
        for path in sources()
        if (length := len(path.read_text().splitlines())) > LONGEST_FILE
    }
    assert long == {}


def test_every_package_stands_in_the_architecture() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    packages = {
        path.stem if path.is_file() else path.name
        for path in (ROOT / "fastsmtp").iterdir()
        if path.suffix == ".py" or (path.is_dir() and (path / "__init__.py").exists())
    } - {"__init__", "__main__"}
    assert sorted(name for name in packages if f"`{name}`" not in text) == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sources()
        if path.suffix == ".py"
        and path.stat().st_size
        and ast.get_docstring(ast.parse(path.read_text())) is None
    ]
    assert silent == []


def test_every_module_has_a_test() -> None:
    """A test names the module or imports it: tests/unit/test_PACKAGE_MODULE.py, or any file below tests/ that
    imports the module, or the package of its own that it is a part of (``smtp.extensions``)."""
    known = layers.modules(ROOT)
    tests = [path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__).resolve()]
    imported = {target for path in tests for _, target, _ in layers.imports_of("tests", path, known)}
    files = {path.name for path in tests}

    def tested(name: str) -> bool:
        parts = name.split(".")[1:]
        names = {name, *([name.rpartition(".")[0]] if len(parts) > 2 else [])}
        return bool(names & imported) or f"test_{'_'.join(part.strip('_') for part in parts)}.py" in files

    untested = [
        name
        for name, path in known.items()
        if path.name not in WITHOUT_TEST and name not in BY_RUNNING and not tested(name)
    ]
    assert untested == []


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX", "HACK"])
def test_nothing_is_left_undone(word: str) -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in sources()
        if path != Path(__file__).resolve() and re.search(rf"\b{word}\b", path.read_text())
    ]
    assert found == []


def test_ruff() -> None:
    run("ruff", "check", "--no-cache", ".")


def test_cython_lint() -> None:
    run("cython-lint", "--max-line-length=118", "ext")


@pytest.mark.timeout(600)
def test_mypy() -> None:
    run(sys.executable, "-m", "mypy", "--strict", "fastsmtp", "tools")


@pytest.mark.timeout(600)
def test_stubs_match_the_compiled_core() -> None:
    stubs = sorted((ROOT / "fastsmtp/_core").glob("*.pyi"))
    built = [path.stem for path in stubs if list(path.parent.glob(f"{path.stem}.*.so"))]
    assert built == [path.stem for path in stubs], "run `make build`"
    names = [f"fastsmtp._core.{name}" for name in built]
    run(
        sys.executable,
        "-m",
        "mypy.stubtest",
        *names,
        "--allowlist",
        "tools/stubtest-allow.txt",
        "--ignore-disjoint-bases",
    )
