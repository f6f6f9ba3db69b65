"""Self-signed certificates."""

import os
import stat
from pathlib import Path

import pytest

from fastsmtp.tls.certificates import read_pair
from fastsmtp.tls.pair import CertificateError
from fastsmtp.tls.selfsigned import self_signed
from fastsmtp.tls.settings import CertificateSettings


def test_it_can_be_used(tmp_path: Path) -> None:
    cert, key = self_signed(["mx.example.org", "mail.example.org"], tmp_path / "new")
    pair = read_pair(CertificateSettings(cert=str(cert), key=str(key)))
    assert pair.facts.names == ("mx.example.org", "mail.example.org")
    assert pair.facts.issuer == pair.facts.subject == "mx.example.org"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert round((pair.facts.ends - pair.facts.begins) / 86_400) == 365


def test_an_address_is_no_name(tmp_path: Path) -> None:
    cert, key = self_signed(["127.0.0.1"], tmp_path)
    assert read_pair(CertificateSettings(cert=str(cert), key=str(key))).facts.names == ()


@pytest.mark.parametrize("name", ["cert.pem", "key.pem"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("nowhere")
    with pytest.raises(CertificateError, match="exists already, and is not overwritten"):
        self_signed(["mx.example.org"], tmp_path)
    assert os.listdir(tmp_path) == [name]


def test_a_place_where_nothing_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CertificateError, match=r"cannot make .*file: "):
        self_signed(["mx.example.org"], tmp_path / "file")


def test_a_long_name_and_one_that_is_none(tmp_path: Path) -> None:
    self_signed([f"{'a' * 60}.example.org"], tmp_path / "long")
    with pytest.raises(CertificateError, match="not a host name"):
        self_signed(["mx.müller.example"], tmp_path / "umlaut")
