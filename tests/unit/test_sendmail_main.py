"""The programs' ends: exit codes and single lines."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastsmtp.maildrop.place import VARIABLE
from fastsmtp.sendmail import main


def test_help_has_an_example_and_version_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run("sendmail", ["--help"]) == os.EX_OK
    assert "Example:" in capsys.readouterr().out
    assert main.run("sendmail", ["--version"]) == os.EX_OK
    assert capsys.readouterr().out.startswith("fastsmtp ")


@pytest.mark.parametrize(("program", "line"), [("sendmail", ["-Z"]), ("mailq", ["-bp", "-Z"])])
def test_a_failure_is_one_line_of_the_program(
    program: str, line: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main.run(program, line) == os.EX_USAGE
    assert capfd.readouterr().err == f"{program}: option -Z is not known (sendmail --help)\n"


def test_entry_points_name_their_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(main, "run", lambda program, arguments: asked.append((program, arguments)) or 0)
    monkeypatch.setattr(sys, "argv", ["x", "-C", "f"])
    for entry in (main.sendmail, main.mailq, main.newaliases):
        with pytest.raises(SystemExit):
            entry()
    assert asked == [
        ("sendmail", ["-C", "f"]),
        ("mailq", ["-bp", "-C", "f"]),
        ("newaliases", ["-bi", "-C", "f"]),
    ]


def test_a_fault_of_ours_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(options: object) -> int:
        raise RuntimeError("odd")

    monkeypatch.delenv("FASTSMTP_TRACE", raising=False)
    monkeypatch.setattr(main, "_run", broken)
    assert main.run("sendmail", ["a"]) == os.EX_SOFTWARE
    assert capfd.readouterr().err.startswith("sendmail: odd (RuntimeError")


def test_a_message_loads_little() -> None:
    """What cron starts thousands of times imports nothing of the server, nor what takes long."""
    code = (
        "import sys; from fastsmtp.sendmail.main import run; "
        "code = run('sendmail', ['a']); "
        "print(code, [m for m in ('msgspec', 'click', 'asyncio', 'typing', 'email', 'argparse', 'socket',"
        " 'fastsmtp.smtp') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        input=b"Subject: x\n\nx\n",
        capture_output=True,
        env={**os.environ, VARIABLE: "/nonexistent"},
    )
    assert done.stdout.decode().strip() == f"{os.EX_CONFIG} []", done.stderr


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("{} a <&-", os.EX_NOINPUT, "standard input is closed; the message is read from it"),
        ("{} -bs <&-", os.EX_NOINPUT, "standard input is closed; the message is read from it"),
        ("{} -bs </dev/null >&-", os.EX_IOERR, "standard output is closed; the replies are written to it"),
        ("{} --help >/dev/full", os.EX_IOERR, "standard output: No space left on device"),
    ],
)
def test_streams_that_are_not_there(tmp_path: Path, command: str, code: int, words: str) -> None:
    ran = f"{sys.executable} -m fastsmtp.sendmail"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command.format(ran)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(main.__file__).parents[2])},
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (code, f"sendmail: {words}" if words else "")


def test_a_reader_that_has_gone_is_no_fault() -> None:
    """As in ``mailq | head``."""
    out, into = os.pipe()
    os.close(out)
    ran = [sys.executable, "-m", "fastsmtp.sendmail", "--help"]
    done = subprocess.run(ran, stdout=into, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(into)
    assert (done.returncode, done.stderr) == (os.EX_OK, b"")
