"""What a report says about the machine."""

import ssl
from pathlib import Path

import fastsmtp
from fastsmtp.loadgen import machine


def test_facts_are_all_there() -> None:
    facts = machine.facts(Path(__file__).parent)
    assert set(facts) == {"cpu", "cores", "memory", "kernel", "filesystem", "python"}
    assert all(facts.values())


def test_a_directory_that_is_not_there_has_no_known_file_system(tmp_path: Path) -> None:
    assert machine.filesystem(tmp_path / "none") == "unknown"


def test_versions_name_fastsmtp_first() -> None:
    versions = machine.versions()
    assert next(iter(versions)) == "fastsmtp"
    assert versions["fastsmtp"] == fastsmtp.__version__
    assert f"OpenSSL {versions['openssl']} " in ssl.OPENSSL_VERSION
