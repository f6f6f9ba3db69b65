"""``fastsmtp init``: what it asks, what it refuses; that its server works is in tests/system/test_init.py."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fastsmtp.accounts.base import AccountsError
from fastsmtp.accounts.hashing import HashError
from fastsmtp.cli.commands import init as module
from fastsmtp.cli.main import run
from fastsmtp.cli.options import Stop

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    """No user to become."""
    monkeypatch.setattr("fastsmtp.process.privileges.find_user", lambda name: None)
    monkeypatch.setattr("fastsmtp.process.accounts.find_user", lambda name: None)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who can be asked."""
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda self: True)


def asked(directory: Path, answers: str, *options: str) -> Result:
    """Run it with what somebody types."""
    command = ["example.org", "--dir", str(directory), *options]
    return CliRunner().invoke(module.command, command, input=answers, standalone_mode=False)


@pytest.mark.usefixtures("terminal")
def test_what_is_not_given_is_asked_for(tmp_path: Path) -> None:
    done = asked(tmp_path, "mail.example.org\nalice\ngeheim 1\ngeheim 1\n")
    assert done.exception is None
    assert 'hostname = "mail.example.org"' in (tmp_path / "fastsmtp.toml").read_text()
    assert "account      alice@example.org" in done.stdout
    assert "geheim" not in done.output


def test_nothing_is_asked_for_when_all_is_given(tmp_path: Path) -> None:
    done = asked(tmp_path, "geheim 1\n", "--account", "alice", "--password-stdin", "--ip", "2001:db8::1")
    assert done.exception is None
    assert done.stderr == ""
    assert "mx.example.org.                 AAAA  2001:db8::1\n" in done.stdout
    assert '[[listeners]]\naddress = "[::]:25"' in (tmp_path / "fastsmtp.toml").read_text()
    assert "The certificate is self-signed" in done.stdout


def test_without_a_terminal_an_account_has_to_be_named(tmp_path: Path, capsys: Capture) -> None:
    assert run(["init", "example.org", "--dir", str(tmp_path / "x")]) == os.EX_USAGE
    assert "give it with --account" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_what_is_there_is_not_overwritten(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "fastsmtp.toml").write_text("mine")
    command = ["init", "example.org", "--dir", str(tmp_path), "--account", "alice", "--password-stdin"]
    assert run(command) == os.EX_CANTCREAT
    assert f"{tmp_path}/fastsmtp.toml is there already" in capsys.readouterr().err
    assert (tmp_path / "fastsmtp.toml").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["fastsmtp.toml"]


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("fastsmtp.accounts.manage.with_password", HashError("argon2id: no memory")),
        ("fastsmtp.accounts.manage.add_user", AccountsError("data.mdb: No space left on device")),
        ("fastsmtp.process.setup._write", OSError(28, "No space left on device")),
    ],
)
def test_a_step_that_fails_leaves_nothing_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: Exception
) -> None:
    def fail(*arguments: object, **named: object) -> None:
        raise error

    options = ["--account", "alice", "--password-stdin"]
    with monkeypatch.context() as patch:
        patch.setattr(step, fail)
        first = asked(tmp_path / "new", "geheim 1\n", *options)
    assert isinstance(first.exception, Stop)
    assert "No space" in str(first.exception) or "no memory" in str(first.exception)
    assert list(tmp_path.iterdir()) == []
    assert asked(tmp_path / "new", "geheim 1\n", *options).exception is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cert", "c.pem"], "--cert and --key go together"),
        (["--account", "a b", "--password-stdin"], "expected a login"),
        (["--account", "alice", "--password-stdin", "--ip", "mx"], "expected an IP address"),
        (["--account", "alice", "--password-stdin", "--ports", "25,587"], "expected three ports"),
        (["--account", "alice", "--password-stdin", "--ports", "25,587,465000"], "expected three ports"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, capsys: Capture, options: list[str], message: str) -> None:
    assert run(["init", "example.org", "--dir", str(tmp_path / "x"), *options]) != os.EX_OK
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
