"""Changes of certificate files, and what is to be said of the certificates in them."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fastsmtp.tls.files import Watch, date_notes, idle_notes, read_all
from fastsmtp.tls.settings import CertificateSettings, TlsSettings
from tests.tools.chains import Issued
from tests.tools.tls_pairs import pairs_for, write_pair

DAY = 86_400


def watch_for(*settings: CertificateSettings) -> Watch:
    """A watch over these."""
    return Watch(TlsSettings(certificates=settings))


def renew(path: str, text: str = "") -> None:
    """Put another file in its place."""
    fresh = Path(f"{path}.new")
    fresh.write_text(text)
    os.replace(fresh, path)


def test_nothing_has_changed(tmp_path: Path) -> None:
    watch = watch_for(write_pair(tmp_path, Issued("mx.example.org")))
    assert watch.changed() == []
    assert watch.changed(at_once=True) == []


def test_a_change_counts_when_it_is_a_look_old_and_once(tmp_path: Path) -> None:
    one = write_pair(tmp_path, Issued("one.example.org"), name="one")
    two = write_pair(tmp_path, Issued("two.example.org"), name="two")
    watch = watch_for(one, two)
    renew(two.cert)
    assert watch.changed() == []
    renew(two.key, "longer")
    assert watch.changed() == [], "the key has come after the certificate"
    assert watch.changed() == [1]
    assert watch.changed() == []


def test_at_once_when_asked(tmp_path: Path) -> None:
    settings = write_pair(tmp_path, Issued("mx.example.org"))
    watch = watch_for(settings)
    renew(settings.key, "longer")
    assert watch.changed(at_once=True) == [0]
    assert watch.changed() == []


def test_a_file_that_goes_and_comes(tmp_path: Path) -> None:
    settings = write_pair(tmp_path, Issued("mx.example.org"))
    watch = watch_for(settings)
    os.unlink(settings.cert)
    assert watch.changed(at_once=True) == [0]
    write_pair(tmp_path, Issued("mx.example.org"))
    assert watch.changed(at_once=True) == [0]
    assert watch.read(0).facts.subject == "mx.example.org"


def test_a_mode_that_was_mended_is_a_change(tmp_path: Path) -> None:
    settings = write_pair(tmp_path, Issued("mx.example.org"))
    os.chmod(settings.key, 0o644)
    watch = watch_for(settings)
    os.chmod(settings.key, 0o600)
    assert watch.changed(at_once=True) == [0]


def test_links_as_certbot_makes_them(tmp_path: Path) -> None:
    """``live/NAME/`` holds links into ``archive/NAME/``, which a renewal makes anew."""
    live = tmp_path / "live"
    live.mkdir()
    for number, name in enumerate(("old.example.org", "new.example.org"), 1):
        archived = write_pair(tmp_path / "archive", Issued(name), name=f"{number}")
        for link, target in (("fullchain.pem", archived.cert), ("privkey.pem", archived.key)):
            (live / f"{link}.{number}").symlink_to(target)
    settings = CertificateSettings(cert=str(live / "fullchain.pem"), key=str(live / "privkey.pem"))
    for link in (settings.cert, settings.key):
        os.replace(f"{link}.1", link)
    watch = watch_for(settings)
    assert watch.read(0).facts.subject == "old.example.org"
    for link in (settings.cert, settings.key):
        os.replace(f"{link}.2", link)
    assert watch.changed(at_once=True) == [0]
    assert watch.read(0).facts.subject == "new.example.org"


def test_dates_are_told(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    begins = (now, now - timedelta(days=25), now - timedelta(days=40), now + timedelta(days=1))
    settings = tuple(
        write_pair(tmp_path, Issued(f"mx{number}.example.org", begins=one), name=str(number))
        for number, one in enumerate(begins)
    )
    pairs, problems = read_all(TlsSettings(certificates=settings))
    assert problems == []
    days = [(one + timedelta(days=30)).strftime("%Y-%m-%d") for one in begins]
    assert date_notes(pairs, now.timestamp()) == [
        f"tls.certificates[1]: the certificate of mx1.example.org expires on {days[1]}",
        f"tls.certificates[2]: the certificate of mx2.example.org expired on {days[2]}",
        f"tls.certificates[3]: the certificate of mx3.example.org is not valid before {begins[3]:%Y-%m-%d}",
    ]


def test_problems_name_their_key(tmp_path: Path) -> None:
    good = write_pair(tmp_path, Issued("mx.example.org"))
    missing = CertificateSettings(cert=str(tmp_path / "no.pem"), key=good.key)
    pairs, problems = read_all(TlsSettings(certificates=(missing, good)))
    assert [pair.facts.subject for pair in pairs] == ["mx.example.org"]
    assert problems == [f"tls.certificates[0]: {tmp_path}/no.pem: cannot be read: No such file or directory"]


def test_certificates_that_no_client_gets(tmp_path: Path) -> None:
    pairs = pairs_for(tmp_path, ["mx.example.org", "mail.example.org", "mx.example.org"])
    assert idle_notes(pairs) == [
        "tls.certificates[2]: no client gets it: others before it have all its names"
    ]
