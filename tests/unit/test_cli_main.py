"""The command line: quick help, exit codes of sysexits.h, and never a traceback."""

import importlib
import json
import os
import subprocess
import sys
from typing import Any

import click
import pytest

from fastsmtp import __version__, _core
from fastsmtp.cli import exits, main
from fastsmtp.cli.commands import version
from fastsmtp.cli.options import Stop

Capture = pytest.CaptureFixture[str]


def broken(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let ``fastsmtp version`` fail with ``error``."""

    @click.command()
    def command() -> None:
        raise error

    monkeypatch.setattr(version, "command", command)


def test_help_lists_every_command_and_imports_none(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def refuse(name: str) -> Any:
        raise AssertionError(f"{name} was imported")

    monkeypatch.setattr(importlib, "import_module", refuse)
    assert main.run(["--help"]) == os.EX_OK
    text = capsys.readouterr().out
    assert "Example:" in text
    assert all(f"  {name}" in text for name in main.COMMANDS)


@pytest.mark.parametrize("name", list(main.COMMANDS))
def test_every_command_has_help_with_an_example(name: str, capsys: Capture) -> None:
    assert main.run([name, "--help"]) == os.EX_OK
    text = capsys.readouterr().out
    assert "Example" in text
    assert f"fastsmtp {name}" in text


def test_help_is_quick() -> None:
    code = "import sys; from fastsmtp.cli import main; main.run(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert not {"lmdb", "uvloop", "msgspec", "asyncio", "ssl"} & set(loaded)


def test_no_command_shows_the_help(capsys: Capture) -> None:
    assert main.run([]) == os.EX_USAGE
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["nothing"], ["version", "--nothing"], ["check", "-c"]])
def test_wrong_usage(arguments: list[str], capsys: Capture) -> None:
    assert main.run(arguments) == os.EX_USAGE
    assert "Error:" in capsys.readouterr().err


def test_the_version_option(capsys: Capture) -> None:
    assert main.run(["--version"]) == os.EX_OK
    assert capsys.readouterr().out == f"fastsmtp, version {__version__}\n"


def test_a_fault_of_ours_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.delenv(main.TRACE, raising=False)
    broken(monkeypatch, RuntimeError("it\nbroke"))
    assert main.run(["version"]) == os.EX_SOFTWARE
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "fastsmtp: it broke (RuntimeError; FASTSMTP_TRACE=1 shows where)\n"


def test_the_traceback_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(main.TRACE, "1")
    broken(monkeypatch, RuntimeError("it broke"))
    with pytest.raises(RuntimeError, match="it broke"):
        main.run(["version"])


def test_stop_prints_its_lines(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    broken(monkeypatch, Stop(os.EX_CONFIG, "one", "two"))
    assert main.run(["version"]) == os.EX_CONFIG
    assert capsys.readouterr().err == "fastsmtp: one\nfastsmtp: two\n"


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    broken(monkeypatch, KeyboardInterrupt())
    assert main.run(["version"]) == exits.INTERRUPTED
    assert "Traceback" not in capsys.readouterr().err


def test_the_reader_of_our_output_may_go() -> None:
    code = "import sys; from fastsmtp.cli import main; main.main(['version'])"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.stderr == ""


def test_main_exits(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main.main(["--version"])
    assert caught.value.code == os.EX_OK
    assert __version__ in capsys.readouterr().out


def test_version_names_core_and_libraries(capsys: Capture) -> None:
    assert main.run(["version", "--json"]) == os.EX_OK
    facts = json.loads(capsys.readouterr().out)
    assert facts["fastsmtp"] == __version__
    assert facts["core"]
    assert set(version.LIBRARIES) <= set(facts)
    assert main.run(["version"]) == os.EX_OK
    text = capsys.readouterr().out
    assert f"core      {facts['core']}\n" in text


def test_version_runs_without_a_core() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fastsmtp", "version"],
        capture_output=True,
        text=True,
        env={**os.environ, "FASTSMTP_CORE": "other"},
    )
    assert done.returncode == os.EX_CONFIG
    assert "core      none: FASTSMTP_CORE is 'other'" in done.stdout
    assert "python    " in done.stdout, "the rest is told all the same"


def test_a_core_that_is_not_built_is_one_plain_line() -> None:
    code = """
import sys
class Nothing:
    def find_spec(name, path=None, target=None):
        if name.startswith("fastsmtp._core."):
            raise ImportError("cannot import name (most likely due to a circular import)")
sys.meta_path.insert(0, Nothing)
from fastsmtp.cli import main
main.main(["version"])
"""
    environment = {**os.environ, "FASTSMTP_CORE": "c"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == os.EX_CONFIG
    line = "none: the compiled core is missing; run `make build`, or set FASTSMTP_CORE=py for the slow twin"
    assert f"core      {line}\n" in done.stdout


def test_a_debug_build_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_core, "COMPILED", True)
    monkeypatch.setattr(_core, "DEBUG", True)
    assert version.core() == (os.EX_OK, "compiled (debug build)")
    monkeypatch.setattr(_core, "DEBUG", False)
    assert version.core() == (os.EX_OK, "compiled")
    monkeypatch.setattr(_core, "COMPILED", False)
    assert version.core() == (os.EX_OK, "plain Python (slow)")


def test_a_missing_library_is_said() -> None:
    assert version.installed("no-such-library") == "not installed"
