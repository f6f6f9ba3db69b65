"""Power cuts and full disks while the real program relays: nothing that was answered 250 is lost, and what has to be
written meanwhile is written when there is room again, without a restart."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools import audit, images
from tests.tools.exchange import Exchange
from tests.tools.images import Image
from tests.tools.relay_ordeal import RelayOrdeal, relaying
from tests.tools.site import Site
from tests.tools.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(images.why_not()), reason=images.why_not() or "runs"),
]


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Image]:
    image = Image(tmp_path, "disk", 512)
    try:
        yield image
    finally:
        image.remove()


@pytest.fixture
def ordeal(tmp_path: Path, image: Image) -> Iterator[RelayOrdeal]:
    """The spool is on the image."""
    exchange = Exchange()
    exchange.start()
    settings = {
        "data_dir": str(image.mount / "data"),
        "workers": 1,
        "pressure": {"disk_free": 0, "inodes_free": 0},  # nothing is put off before the disk is really full
    }
    server = Site(tmp_path / "site", **{**relaying(exchange), **settings})
    server.data = image.mount / "data"
    ordeal = RelayOrdeal(server, exchange)
    try:
        yield ordeal
    finally:
        ordeal.abandon()


def fill(ordeal: RelayOrdeal, image: Image) -> Path:
    """Mail waits for a host that is down when the disk fills up, and comes on until it is refused; then the host is
    there again. What has to be removed to make room."""
    ordeal.server.start()
    ordeal.exchange.stop()
    ordeal.begin()
    ordeal.progress(150)
    filler = image.fill()
    until("mail is refused", ordeal.refused, 30)
    ordeal.pause()
    ordeal.exchange.start()
    until("the exchange has some", lambda: len(ordeal.exchange.taken) > 50, 30)
    assert not [said for said in ordeal.refused() if not said.startswith(("451 4.3.0 ", "452 4.3.1 "))]
    return filler


def test_power_cuts(ordeal: RelayOrdeal, image: Image) -> None:
    """Several in a row, one of them while the other host is down; the mailboxes are on the same disk."""
    ordeal.server.mail = image.mount / "mail"
    ordeal.server.settings["mailboxes"]["path"] = str(image.mount / "mail") + "/{domain}/{user}"
    for number in range(4):
        ordeal.server.start()
        ordeal.begin()
        if number == 2:
            ordeal.exchange.stop()
        ordeal.progress(random.Random(number).randint(60, 150))
        image.cut_power()
        ordeal.kill_all()
        ordeal.pause()
        image.detach()
        image.attach()
        assert audit.records(ordeal.server.data), "every record of the survivor can be read"
        assert audit.damage(ordeal.server.data) == []
    ordeal.exchange.start()
    ordeal.server.start()
    ordeal.begin()
    ordeal.progress(30)
    assert ordeal.end() > 200


def test_a_disk_that_fills_while_mail_waits(ordeal: RelayOrdeal, image: Image) -> None:
    """What the host puts off, refuses and takes has to be written on a full disk, and so have the notices; with room
    again it goes on by itself."""
    filler = fill(ordeal, image)
    filler.unlink()
    ordeal.begin()
    ordeal.progress(30)
    assert ordeal.end() > 150


def test_a_death_on_a_full_disk(ordeal: RelayOrdeal, image: Image) -> None:
    """What was committed on it is there."""
    filler = fill(ordeal, image)
    ordeal.kill_all()
    filler.unlink()
    ordeal.server.start()
    ordeal.begin()
    ordeal.progress(30)
    assert ordeal.end() > 150
