"""The Makefile says what it can do, and builds again when the kind of the core changes."""

import re
import subprocess
from pathlib import Path

from tests.conftest import require_program

ROOT = Path(__file__).resolve().parents[2]


def make(*words: str, debug: str = "") -> str:
    """What ``make`` with these words prints."""
    command = [require_program("make"), "--no-print-directory", f"FASTSMTP_DEBUG_BUILD={debug}", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_help_lists_every_target() -> None:
    (targets,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    listed = re.findall(r"^make ([a-z-]+) ", make("help"), re.MULTILINE)
    assert sorted(listed) == sorted(targets.split())


def test_another_kind_of_core_is_built_anew(tmp_path: Path) -> None:
    """Only shown, by -n, in a virtual environment of which there are but the stamps of a plain build."""
    for stamp in ("made", "mode-plain", "built"):
        (tmp_path / stamp).touch()
    here = f"VENV={tmp_path}"
    assert "building" not in make("-n", here, "build")
    assert "building fastsmtp (debug build)" in make("-n", here, "build", debug="1")
    (tmp_path / "mode-plain").rename(tmp_path / "mode-debug")
    (tmp_path / "built").touch()
    assert "building" not in make("-n", here, "build", debug="1")
    assert "fastsmtp/_core/*.so" in make("-n", here, "build")
