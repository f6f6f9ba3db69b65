"""What is looked at before a certificate is used."""

import hashlib
import os
import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fastsmtp.config import secrets
from fastsmtp.tls.certificates import LONGEST, read_pair
from fastsmtp.tls.pair import CertificateError, date_problem, received, to_send
from fastsmtp.tls.settings import CertificateSettings
from tests.tools.chains import Issued
from tests.tools.tls_pairs import key_pem, write_pair


def refused(settings: CertificateSettings) -> str:
    """Why it cannot be used."""
    with pytest.raises(CertificateError) as caught:
        read_pair(settings)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_what_it_says(tmp_path: Path) -> None:
    issued = Issued("Mail", names=("MX.Example.org", "*.example.net"))
    facts = read_pair(write_pair(tmp_path, issued)).facts
    assert facts.subject == "Mail"
    assert facts.issuer == "Mail"
    assert facts.names == ("mx.example.org", "*.example.net")
    assert facts.key == "ECDSA secp256r1"
    assert facts.fingerprint == hashlib.sha256(issued.der).hexdigest()
    assert facts.end_point == hashlib.sha256(issued.der).digest()
    assert facts.ends - facts.begins == 30 * 86_400


def test_a_certificate_without_other_names_is_for_its_common_name(tmp_path: Path) -> None:
    assert read_pair(write_pair(tmp_path, Issued("mx.example.org"))).facts.names == ("mx.example.org",)


def test_it_is_not_shown_when_printed(tmp_path: Path) -> None:
    pair = read_pair(write_pair(tmp_path, Issued("mx.example.org")))
    assert "KEY" not in repr(pair)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o660])
def test_a_key_for_others_to_read(tmp_path: Path, mode: int) -> None:
    settings = write_pair(tmp_path, Issued("mx.example.org"))
    os.chmod(settings.key, mode)
    assert refused(settings) == (
        f"{settings.key}: others than its owner can read or change the key (mode {mode:04o}); "
        f"`chmod 600 {settings.key}` mends it"
    )


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_key_for_its_owner(tmp_path: Path, mode: int) -> None:
    settings = write_pair(tmp_path, Issued("mx.example.org"))
    os.chmod(settings.key, mode)
    assert stat.S_IMODE(os.stat(settings.key).st_mode) == mode
    read_pair(settings)


def test_credentials_of_systemd_have_modes_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = write_pair(tmp_path, Issued("mx.example.org"))
    os.chmod(settings.key, 0o440)
    with monkeypatch.context() as started_by_systemd:
        started_by_systemd.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        read_pair(settings)
    with monkeypatch.context() as started_by_hand:
        started_by_hand.delenv("CREDENTIALS_DIRECTORY", raising=False)
        started_by_hand.setattr(secrets, "SERVICE_DIRECTORY", str(tmp_path))
        read_pair(settings)


def test_a_key_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = write_pair(tmp_path, Issued("mx.example.org"))
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to somebody")
    os.chown(settings.key, 4711, -1)
    assert refused(settings) == (
        f"{settings.key}: the key belongs to another user; `chown root {settings.key}` mends it"
    )
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    read_pair(settings)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    settings = write_pair(tmp_path, Issued("mx.example.org"))
    os.unlink(settings.key)
    assert refused(settings) == f"{settings.key}: cannot be read: No such file or directory"
    os.unlink(settings.cert)
    assert refused(settings) == f"{settings.cert}: cannot be read: No such file or directory"


def test_what_is_no_file_holds_up_nobody(tmp_path: Path) -> None:
    settings = write_pair(tmp_path, Issued("mx.example.org"))
    os.unlink(settings.cert)
    os.mkfifo(settings.cert)
    assert refused(settings) == f"{settings.cert}: is no file"


def test_a_file_that_never_ends(tmp_path: Path) -> None:
    settings = write_pair(tmp_path, Issued("mx.example.org"))
    os.truncate(settings.cert, LONGEST + 1)
    assert "is longer than a certificate or key can be" in refused(settings)


def test_a_key_of_another_certificate(tmp_path: Path) -> None:
    settings = write_pair(tmp_path, Issued("mx.example.org"))
    Path(settings.key).write_bytes(key_pem(Issued("mx.example.org")))
    assert refused(settings) == (
        f"{settings.cert}: its first certificate (mx.example.org) is not for the key {settings.key}"
    )


def test_an_encrypted_key(tmp_path: Path) -> None:
    issued = Issued("mx.example.org")
    settings = write_pair(tmp_path, issued)
    Path(settings.key).write_bytes(key_pem(issued, b"secret"))
    assert "the key is encrypted" in refused(settings)


def test_files_that_were_exchanged(tmp_path: Path) -> None:
    settings = write_pair(tmp_path, Issued("mx.example.org"))
    os.chmod(settings.cert, 0o600)
    swapped = CertificateSettings(cert=settings.key, key=settings.cert)
    assert refused(swapped) == f"{settings.cert}: there is no private key in PEM in it"


@pytest.mark.parametrize(
    "text", ["", "nothing", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"]
)
def test_a_file_without_a_certificate(tmp_path: Path, text: str) -> None:
    settings = write_pair(tmp_path, Issued("mx.example.org"))
    Path(settings.cert).write_text(text)
    assert "there is no certificate in PEM in it that can be read" in refused(settings)


def test_a_chain_in_the_wrong_order(tmp_path: Path) -> None:
    authority = Issued("authority", authority=True)
    middle = Issued("middle", authority, authority=True)
    server = Issued("mx.example.org", middle)
    read_pair(write_pair(tmp_path, server, middle, authority))
    wrong = refused(write_pair(tmp_path, server, authority, middle))
    assert re.search(
        r"certificate 2 \(CN=authority\) is not the issuer of certificate 1; put them in order", wrong
    )


def test_an_expired_one_can_be_used_and_is_told(tmp_path: Path) -> None:
    begins = datetime.now(UTC) - timedelta(days=40)
    facts = read_pair(write_pair(tmp_path, Issued("mx.example.org", begins=begins))).facts
    ended = (begins + timedelta(days=30)).strftime("%Y-%m-%d")
    assert date_problem(facts, datetime.now(UTC).timestamp()) == f"expired on {ended}"
    assert date_problem(facts, begins.timestamp() + 86_400) is None
    assert date_problem(facts, begins.timestamp() - 86_400) == f"is not valid before {begins:%Y-%m-%d}"


def test_it_goes_to_another_process_as_an_open_file(tmp_path: Path) -> None:
    pair = read_pair(write_pair(tmp_path, Issued("mx.example.org")))
    file = to_send(pair)
    again = os.dup(file)  # as another worker has it
    assert received(file) == pair
    assert received(again) == pair
