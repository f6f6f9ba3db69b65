"""The ``[tls]`` table, alone and with what the machine makes of it."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fastsmtp.cli.main import run
from fastsmtp.config.errors import SettingsError
from fastsmtp.process.machine import machine_problems, tls_notes
from fastsmtp.process.settings import Settings
from tests.tools.chains import Issued
from tests.tools.tls_pairs import write_pair
from tests.unit.test_process_settings import load, small

PAIR = 'certificates = [{ cert = "mx.pem", key = "mx.key" }]'


def with_tls(folder: Path, table: str) -> Settings:
    """Settings with this table, below ``folder``."""
    return load(folder, small('data_dir = "data"', 'path = "mail/{user}"') + f"\n[tls]\n{table}\n")


def test_without_it_there_is_none(tmp_path: Path) -> None:
    assert load(tmp_path, small()).tls.certificates == ()


def test_paths_begin_at_the_settings_file(tmp_path: Path) -> None:
    tls = with_tls(tmp_path, f'{PAIR}\nclient_certificates = "ask"\nclient_ca = "ca.pem"').tls
    assert tls.certificates[0].cert == f"{tmp_path}/mx.pem"
    assert tls.certificates[0].key == f"{tmp_path}/mx.key"
    assert tls.client_ca == f"{tmp_path}/ca.pem"


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('min_version = "1.1"', 'tls.min_version: expected one of "1.2", "1.3"'),
        ('ciphers = "ROT13"', 'tls.ciphers: OpenSSL knows none of "ROT13"'),
        ('client_certificates = "ask"', 'tls.client_ca: client_certificates = "ask" needs the authorities'),
        ('certificates = [{ cert = "a.pem" }]', "tls.certificates[0].key: "),
        ('certificates = [{ cert = "a\\u0000", key = "b" }]', "tls.certificates[0].cert: expected a path"),
        ('certificates = [{ cert = "", key = "b" }]', "tls.certificates[0].cert: "),
    ],
)
def test_what_is_wrong_is_said_by_key(tmp_path: Path, table: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        with_tls(tmp_path, table)
    (line,) = caught.value.problems
    assert problem in line


def test_check_reads_certificates_and_keys(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, Issued("mx.example.org"))
    settings = with_tls(tmp_path, PAIR)
    assert machine_problems(settings) == []
    assert tls_notes(settings.tls, datetime.now(UTC).timestamp()) == []
    os.chmod(pair.key, 0o640)
    assert machine_problems(settings) == [
        f"tls.certificates[0]: {pair.key}: others than its owner can read or change the key (mode 0640); "
        f"`chmod 600 {pair.key}` mends it"
    ]


def test_check_reads_the_authorities_of_clients(tmp_path: Path) -> None:
    write_pair(tmp_path, Issued("mx.example.org"))
    settings = with_tls(tmp_path, f'{PAIR}\nclient_certificates = "ask"\nclient_ca = "ca.pem"')
    (problem,) = machine_problems(settings)
    assert problem == f"tls: {tmp_path}/ca.pem: cannot be used as client_ca: No such file or directory"


def test_an_expired_certificate_is_a_note_of_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pair(tmp_path, Issued("mx.example.org", begins=datetime.now(UTC) - timedelta(days=40)))
    file = tmp_path / "fastsmtp.toml"
    text = small('data_dir = "data"', 'path = "mail/{user}"').replace(":2525", ":0")
    file.write_text(f"{text}\n[tls]\n{PAIR}\n")
    assert run(["check", "-c", str(file)]) == os.EX_OK
    assert (
        "note: tls.certificates[0]: the certificate of mx.example.org expired on " in capsys.readouterr().out
    )
