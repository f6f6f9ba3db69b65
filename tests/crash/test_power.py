"""Power cuts under load on an ext4 image: nothing acknowledged is lost, nothing is delivered twice.

The ioctl EXT4_IOC_SHUTDOWN without a flush of the journal stands for the cut: from then on nothing reaches
the image, and mounting it again replays what was on stable storage. The client knows what was answered 250.
"""

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.tools import arrived, audit, images
from tests.tools.images import Image
from tests.tools.load import Load, Mix
from tests.tools.ordeal import MAILBOXES, surviving
from tests.tools.reader import Reader
from tests.tools.site import Site
from tests.tools.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(images.why_not()), reason=images.why_not() or "runs"),
]


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Image]:
    image = Image(tmp_path, "disk", 1024)
    try:
        yield image
    finally:
        image.remove()


def has_accepted(load: Load, goal: int) -> bool:
    """Whether so many messages were answered 250."""
    return len(load.accepted) >= goal


@pytest.mark.parametrize(
    ("moving", "spool"),
    [(False, {}), (True, {}), (True, {"journal": 1 << 20, "inline_limit": 16384})],
    ids=["nobody reads", "a reader moves mail", "a small journal"],
)
def test_power_cuts(tmp_path: Path, image: Image, moving: bool, spool: dict[str, int]) -> None:
    """Several cuts in a row on the same file system, and one audit over all that was ever accepted."""
    server = Site(
        tmp_path / "site",
        data_dir=str(image.mount / "data"),
        mailboxes={"path": str(image.mount / "mail") + "/{domain}/{user}"},
        spool=spool,
        pressure={"disk_free": 0},
    )
    server.data, server.mail = image.mount / "data", image.mount / "mail"
    loads: list[Load] = []
    try:
        for number in range(4):
            server.start()
            reader = Reader(server.mail, delete=0)
            load = Load(server.address, Mix(MAILBOXES), seed=number, timeout=5)
            loads.append(load)
            load.start()
            if moving:
                reader.start()
            goal = random.Random(number).randint(200, 600)
            until("enough is accepted", partial(has_accepted, load, goal), 30)
            image.cut_power()
            server.kill_all()
            load.stop()
            if moving:
                reader.halt()
            image.detach()
            image.attach()
            assert audit.records(server.data), "every record of the survivor can be read"
            assert audit.damage(server.data) == []
        server.start()
        sent = [each for load in loads for each in load.sent]
        until("all accepted mail stands there", lambda: not audit.awaited(sent, surviving(server)), 60, 0.2)
        until("tmp/ is empty", lambda: not arrived.left_in_tmp(server.mail), 60)
        until("no body file is left", lambda: not audit.body_files(server.data), 60)
        server.stop_in_order()
        faults = audit.compare(sent, surviving(server))
        assert faults == [], f"{len(faults)} faults"
        assert audit.left_behind(server.data, server.mail) == []
        assert sum(len(load.accepted) for load in loads) > 800
    finally:
        if server.runs:
            server.kill()
        print(server.everything_said()[-6000:])
