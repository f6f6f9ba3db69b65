"""``fastsmtp serve`` hands good settings to the server, and its exit code to the shell."""

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fastsmtp.cli.main import run
from fastsmtp.config.signature import Signature
from fastsmtp.process.errors import StartError
from fastsmtp.process.heritage import Heritage
from fastsmtp.process.settings import Settings

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Settings]:
    """The settings that a stand-in for the server was started with."""
    started: list[Settings] = []

    def serve(settings: Settings, file: Path | None, read: Signature, heritage: Heritage | None) -> int:
        started.append(settings)
        return 3

    stand_in(monkeypatch, serve)
    monkeypatch.chdir(tmp_path)
    return started


def stand_in(monkeypatch: pytest.MonkeyPatch, serve: Any) -> None:
    module = ModuleType("fastsmtp.process.app")
    module.serve = serve  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fastsmtp.process.app", module)


def test_without_a_file(served: list[Settings], tmp_path: Path) -> None:
    assert run(["serve"]) == 3
    assert [settings.data_dir for settings in served] == [tmp_path / "var/data"]


def test_with_a_file(served: list[Settings], tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(
        'hostname = "mx.example.org"\ndata_dir = "data"\n'
        '[[listeners]]\naddress = "127.0.0.1:0"\n[mailboxes]\npath = "mail/{user}"\n'
    )
    assert run(["serve", "-c", str(file)]) == 3
    assert [settings.hostname for settings in served] == ["mx.example.org"]


def test_bad_settings_start_nothing(served: list[Settings], tmp_path: Path, capsys: Capture) -> None:
    assert run(["serve", "-c", "none.toml"]) == os.EX_CONFIG
    assert served == []
    assert capsys.readouterr().err == "fastsmtp: none.toml: cannot be read: No such file or directory\n"


def test_a_failed_start_is_one_line(
    served: list[Settings], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def fail(settings: Settings, file: Path | None, read: Signature, heritage: Heritage | None) -> int:
        raise StartError("127.0.0.1:2525 is taken", 75)

    stand_in(monkeypatch, fail)
    assert run(["serve"]) == 75
    assert capsys.readouterr().err == "fastsmtp: 127.0.0.1:2525 is taken\n"
