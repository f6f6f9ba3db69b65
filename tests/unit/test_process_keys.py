"""Certificates in the master: read at the start, read again when they change, and handed on."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fastsmtp.process import messages
from fastsmtp.process.errors import StartError
from fastsmtp.process.keys import REMIND, KeyKeeper
from fastsmtp.tls.pair import received
from fastsmtp.tls.settings import CertificateSettings, TlsSettings
from tests.fakes.clock import FakeClock
from tests.tools.chains import Issued
from tests.tools.tls_pairs import key_pem, write_pair


class Kept:
    """A keeper of one pair of files in ``folder``, and what it has told."""

    def __init__(self, folder: Path, **options: datetime) -> None:
        self.folder = folder
        self.settings = write_pair(folder, Issued("old.example.org", **options))  # type: ignore[arg-type]
        self.told: list[str] = []
        self.clock = FakeClock(wall=datetime.now(UTC).timestamp())
        self.keeper = KeyKeeper(TlsSettings(certificates=(self.settings,)), self.clock, self.told.append)

    def used(self) -> str:
        """The subject of the certificate in use."""
        return self.keeper.store.pairs()[0].facts.subject

    def look(self) -> list[messages.Renewal]:
        """Until a change has had its time."""
        assert self.keeper.look() == []
        return self.keeper.look()


def test_it_is_read_at_the_start(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    assert kept.used() == "old.example.org"
    assert kept.look() == []
    assert kept.told == []


def test_a_new_pair_is_used_and_handed_on(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    issued = Issued("new.example.org")
    write_pair(tmp_path, issued)
    (renewal,) = kept.look()
    assert kept.used() == "new.example.org"
    assert renewal.number == 0
    pair = received(renewal.file)
    assert pair == kept.keeper.store.pairs()[0]
    assert kept.told[0].startswith("tls.certificates[0]: new certificate of new.example.org, until ")


def test_a_bad_pair_is_told_once_and_the_old_one_stays(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    Path(kept.settings.key).write_bytes(key_pem(Issued("other.example.org")))
    assert kept.look() == []
    assert kept.look() == []
    assert kept.used() == "old.example.org"
    (line,) = kept.told
    assert line.startswith("tls.certificates[0]: the old certificate stays in use: ")
    assert "is not for the key" in line


def test_a_loose_key_is_refused_until_its_mode_is_mended(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    write_pair(tmp_path, Issued("new.example.org"))
    os.chmod(kept.settings.key, 0o640)
    assert kept.look() == []
    assert kept.used() == "old.example.org"
    os.chmod(kept.settings.key, 0o600)
    (renewal,) = kept.look()
    os.close(renewal.file)
    assert kept.used() == "new.example.org"


def test_the_same_pair_written_again_is_no_news(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    os.utime(kept.settings.cert, (1, 1))
    assert kept.look() == []
    assert kept.told == []


def test_at_once_when_asked(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    write_pair(tmp_path, Issued("new.example.org"))
    (renewal,) = kept.keeper.look(at_once=True)
    os.close(renewal.file)
    assert kept.used() == "new.example.org"


def test_an_expired_one_is_used_and_told_every_day(tmp_path: Path) -> None:
    kept = Kept(tmp_path, begins=datetime.now(UTC) - timedelta(days=40))
    kept.look()
    assert len(kept.told) == 1
    assert kept.told[0].startswith(
        "WARNING: tls.certificates[0]: the certificate of old.example.org expired on "
    )
    kept.clock.pass_by(REMIND - 1)
    kept.look()
    assert len(kept.told) == 1
    kept.clock.pass_by(1)
    kept.look()
    assert len(kept.told) == 2


def test_a_start_with_what_cannot_be_used(tmp_path: Path) -> None:
    settings = TlsSettings(certificates=(CertificateSettings(cert="/nowhere", key="/nowhere"),))
    with pytest.raises(StartError, match=r"^tls.certificates\[0\]: /nowhere: cannot be read: ") as caught:
        KeyKeeper(settings, FakeClock(), lambda text: None)
    assert caught.value.code == os.EX_CONFIG
    pair = write_pair(tmp_path, Issued("mx.example.org"))
    asking = TlsSettings(certificates=(pair,), client_certificates="ask", client_ca="/nowhere")
    with pytest.raises(StartError, match=r"^tls: /nowhere: cannot be used as client_ca: "):
        KeyKeeper(asking, FakeClock(), lambda text: None)
