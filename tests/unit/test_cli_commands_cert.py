"""``fastsmtp cert``."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fastsmtp.cli.commands import cert as module
from fastsmtp.cli.main import run
from tests.tools.chains import Issued
from tests.tools.tls_pairs import write_pair
from tests.unit.test_process_settings import small

Capture = pytest.CaptureFixture[str]


def settings_file(folder: Path, tls: str) -> str:
    """A settings file with this ``[tls]`` table."""
    file = folder / "fastsmtp.toml"
    file.write_text(small('data_dir = "data"') + f"\n[tls]\n{tls}\n")
    return str(file)


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Settings with one good certificate and one that has expired."""
    write_pair(tmp_path, Issued("mx.example.org", names=("mx.example.org",)), name="good")
    old = Issued("old.example.org", begins=datetime.now(UTC) - timedelta(days=40))
    write_pair(tmp_path, old, name="old")
    return settings_file(
        tmp_path,
        'certificates = [{ cert = "good.pem", key = "good.key" }, { cert = "old.pem", key = "old.key" }]',
    )


def test_status_for_people(file: str, tmp_path: Path, capsys: Capture) -> None:
    assert run(["cert", "status", "-c", file]) == os.EX_CONFIG
    out = capsys.readouterr().out
    assert f"tls.certificates[0]  {tmp_path}/good.pem\n  names      mx.example.org\n" in out
    assert "  issuer     mx.example.org (itself)\n" in out
    assert ", 30 days left\n" in out
    assert f"  key        ECDSA secp256r1, {tmp_path}/good.key\n" in out
    assert "  chosen     for mx.example.org, and for whatever no other is for\n" in out
    assert "  server     not known\n" in out
    assert "  PROBLEM    expired on " in out
    assert f"note: no server runs on {tmp_path}/data\n" in out


def test_status_for_programs(file: str, capsys: Capture) -> None:
    assert run(["cert", "status", "--json", "-c", file]) == os.EX_CONFIG
    good, old = json.loads(capsys.readouterr().out)["certificates"]
    assert good["names"] == good["chosen_for"] == ["mx.example.org"]
    assert good["default"]
    assert good["problem"] is None
    assert 29 < good["days_left"] <= 30
    assert (good["loaded"], good["current"]) == ({}, None)
    assert old["days_left"] < 0
    assert old["problem"].startswith("expired on ")


def test_a_server_that_uses_another(file: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    async def loaded(settings: object) -> tuple[dict[int, list[str]], None]:
        return {0: ["ab" * 32, "cd" * 32]}, None

    monkeypatch.setattr(module, "_loaded", loaded)
    assert run(["cert", "status", "-c", file]) == os.EX_CONFIG
    assert "  server     USES ANOTHER: SHA-256 abababababababab…" in capsys.readouterr().out


def test_no_certificates(tmp_path: Path, capsys: Capture) -> None:
    assert run(["cert", "status", "-c", settings_file(tmp_path, "")]) == os.EX_OK
    assert capsys.readouterr().out.startswith("tls.certificates is empty: the server speaks no TLS\n")


def test_a_self_signed_one_is_good_for_a_start(tmp_path: Path, capsys: Capture) -> None:
    assert run(["cert", "self-signed", "mx.example.org", "--out", str(tmp_path / "tls")]) == os.EX_OK
    _, table, line = capsys.readouterr().out.splitlines()
    assert table == "[tls]"
    assert run(["cert", "status", "-c", settings_file(tmp_path, line)]) == os.EX_OK
    assert run(["cert", "self-signed", "mx.example.org", "--out", str(tmp_path / "tls")]) == os.EX_CANTCREAT
    assert "is not overwritten" in capsys.readouterr().err
