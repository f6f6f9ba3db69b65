"""``fastsmtp reindex``."""

import json
import os
from pathlib import Path

import pytest

from fastsmtp.cli.main import run
from tests.unit.test_cli_commands_trace import Trace


def test_the_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = Trace(tmp_path, capsys).file
    assert run(["reindex", "ledger", "-c", str(file)]) == os.EX_OK
    assert capsys.readouterr().out == "0 indexes made; 1 are made by the running server\n"
    (tmp_path / "data/ledger/x.jsonl").write_bytes(b"garbage\n")
    assert run(["reindex", "ledger", "--json", "-c", str(file)]) == os.EX_DATAERR
    assert json.loads(capsys.readouterr().out)["busy"] == 1


def test_without_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reindex", "ledger", "-c", str(tmp_path / "none")]) == os.EX_CONFIG
