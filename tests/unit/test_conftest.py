"""A missing program skips its tests with the reason, or fails the run where everything must be there."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TESTS = """
import pytest
from tests.conftest import require_program

def test_there():
    assert require_program("sh").endswith("/sh")

def test_missing():
    require_program("no-such-program")

def test_skips():
    pytest.skip("not today")
"""


@pytest.mark.parametrize(
    ("everything", "result", "says"),
    [
        ("0", "1 passed, 2 skipped", "the program no-such-program is not installed"),
        ("1", "2 failed, 1 passed", "was skipped, and FASTSMTP_TEST_ALL=1"),
    ],
)
def test_skips_and_failures(tmp_path: Path, everything: str, result: str, says: str) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(TESTS)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-ra",
            "-p",
            "tests.conftest",
            "--rootdir",
            str(tmp_path),
            str(file),
        ],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "FASTSMTP_TEST_ALL": everything},
        capture_output=True,
        text=True,
    )
    assert result in done.stdout, done.stdout + done.stderr
    assert says in done.stdout
    assert "fastsmtp core: " in done.stdout
