"""What is said of the certificates of the settings."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fastsmtp.tls.settings import CertificateSettings, TlsSettings
from fastsmtp.tls.status import status_of
from tests.tools.chains import Issued
from tests.tools.tls_pairs import write_pair

NOW = datetime.now(UTC)


def test_names_are_shared_out_as_sni_does(tmp_path: Path) -> None:
    first = Issued("one", names=("mx.example.org", "*.example.org"))
    second = Issued("two", names=("mx.example.org", "mx.example.net"))
    settings = TlsSettings(
        certificates=(write_pair(tmp_path, first, name="1"), write_pair(tmp_path, second, name="2"))
    )
    one, two = status_of(settings, {}, NOW.timestamp())
    assert one.answers == ("mx.example.org", "*.example.org")
    assert two.answers == ("mx.example.net",)
    assert one.problem is two.problem is None


def test_what_the_workers_use(tmp_path: Path) -> None:
    settings = TlsSettings(certificates=(write_pair(tmp_path, Issued("mx.example.org")),))
    (alone,) = status_of(settings, {}, NOW.timestamp())
    assert alone.current
    assert alone.loaded == {}
    assert alone.facts is not None
    used = alone.facts.fingerprint
    (same,) = status_of(settings, {0: [used], 1: [used]}, NOW.timestamp())
    assert same.current
    (other,) = status_of(settings, {0: [used], 1: ["ab" * 32]}, NOW.timestamp())
    assert not other.current
    (older,) = status_of(settings, {0: []}, NOW.timestamp())
    assert older.loaded == {}, "the server was started with fewer certificates"


def test_a_certificate_is_shown_though_its_key_is_not_ours_to_read(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, Issued("mx.example.org"))
    os.chmod(pair.key, 0o644)
    (one,) = status_of(TlsSettings(certificates=(pair,)), {}, NOW.timestamp())
    assert one.facts is not None
    assert one.facts.names == ("mx.example.org",)
    assert "chmod 600" in (one.problem or "")


def test_problems(tmp_path: Path) -> None:
    old = write_pair(tmp_path, Issued("mx.example.org", begins=NOW - timedelta(days=40)))
    missing = CertificateSettings(cert=str(tmp_path / "no.pem"), key=old.key)
    expired, gone = status_of(TlsSettings(certificates=(old, missing)), {}, NOW.timestamp())
    assert (expired.problem or "").startswith("expired on ")
    assert gone.facts is None
    assert gone.problem == f"{tmp_path}/no.pem: cannot be read: No such file or directory"
    assert not gone.current
