"""Full disks: a clear temporary reply, a service that still answers, and recovery without help. Nothing that
was answered 250 is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools import audit, images
from tests.tools.images import Image
from tests.tools.load import Load, Mix, Sent
from tests.tools.ordeal import MAILBOXES, surviving
from tests.tools.site import Site, site
from tests.tools.waiting import until

MEGABYTE = 1 << 20
RETRY = 75
"""Seconds within which a mailbox that could not be written is tried again: a minute, and some."""

UNWATCHED = {"disk_free": 0, "inodes_free": 0}
"""Nothing is refused before the disk is full indeed."""

needs_images = pytest.mark.skipif(bool(images.why_not()), reason=images.why_not() or "runs")


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Image]:
    image = Image(tmp_path, "disk", 320)
    try:
        yield image
    finally:
        image.remove()


def prompt(server: Site) -> None:
    """A session that does not send mail is answered at once."""
    with server.wire() as wire:
        wire.hello()
        assert wire.usable()


def all_arrive(server: Site, sent: list[Sent], seconds: float) -> None:
    """Everything accepted stands in the mailboxes exactly once, and the spool is empty."""
    until("all accepted mail is there", lambda: not audit.awaited(sent, surviving(server)), seconds, 0.2)
    until("no body file is left", lambda: not audit.body_files(server.data), 30)
    server.stop_in_order()
    assert audit.compare(sent, surviving(server)) == []
    assert audit.left_behind(server.data, server.mail) == []


def restart(server: Site) -> None:
    """Stop and start: all mail is tried again at once, which spares the test the minute until the next try."""
    server.stop_in_order()
    server.start()


class Pressure(Load):
    """Load that notes the moment it is refused for want of room; any other refusal is a fault."""

    def refusals(self) -> list[str]:
        """What was said to messages that were not taken; only what a full disk may cause."""
        said = [each.refused for each in list(self.sent) if each.refused]
        strange = [each for each in said if not each.startswith(("451 4.3.0 ", "452 4.3.1 "))]
        assert strange == [], strange[:5]
        return said


def pressed(server: Site, mix: Mix, seed: int = 1) -> Pressure:
    """Load that is running and has been refused for want of room, while others are still answered."""
    load = Pressure(server.address, mix, seed=seed)
    load.start()
    try:
        until("the disk is full", load.refusals, 60)
        for _ in range(5):
            prompt(server)
        count = len(load.sent)
        until("the refusals go on", lambda: len(load.sent) > count + 20, 60)
        prompt(server)
    except BaseException:
        load.faults.clear()
        load.stop()
        raise
    return load


def recovered(load: Pressure) -> None:
    """Mail is accepted again, without a restart; then the load ends."""
    try:
        goal = len(load.accepted) + 20
        until("mail is accepted again", lambda: len(load.accepted) >= goal, 30)
    finally:
        load.stop()
    load.refusals()


@needs_images
@pytest.mark.slow
def test_no_room_for_large_bodies(tmp_path: Path, image: Image) -> None:
    """Large messages are refused while the file system of the spool is full, and taken again after."""
    data = str(image.mount / "data")
    with site(tmp_path / "site", workers=1, data_dir=data, pressure=UNWATCHED) as server:
        server.data = image.mount / "data"
        filler = image.fill()
        load = pressed(server, Mix(MAILBOXES, large=2_000_000, large_every=1))
        filler.unlink()
        recovered(load)
        all_arrive(server, load.sent, 30)


@needs_images
@pytest.mark.slow
def test_no_room_for_the_spool_while_mailboxes_cannot_be_written(tmp_path: Path, image: Image) -> None:
    """Mail that cannot be delivered fills the spool's file system; room and mailboxes come back later."""
    data = str(image.mount / "data")
    with site(tmp_path / "site", workers=1, data_dir=data, pressure=UNWATCHED) as server:
        server.data = image.mount / "data"
        obstacle = server.mail / "example.org"
        server.mail.mkdir(exist_ok=True)
        obstacle.write_text("a file where the domain's directory should be")
        filler = image.fill(leave=60 * MEGABYTE)
        load = pressed(server, Mix(MAILBOXES, small=50_000, large_every=20))
        filler.unlink()
        recovered(load)
        assert not surviving(server)
        obstacle.unlink()
        restart(server)
        all_arrive(server, load.sent, 30)


@pytest.mark.slow
@pytest.mark.parametrize("walled", ["example.org", "example.org/bob"])
def test_database_full(tmp_path: Path, walled: str) -> None:
    """The same when the database reaches its map size, be it that nobody's mail can be delivered or one user's:
    then what is kept is written anew as the others' mail leaves, and must fit into the reserve."""
    spool = {"map_size": 48 * MEGABYTE, "reserve": 8 * MEGABYTE, "ahead": 2 * MEGABYTE}
    with site(tmp_path, workers=1, spool=spool) as server:
        obstacle = server.mail / walled
        obstacle.parent.mkdir(parents=True, exist_ok=True)
        obstacle.write_text("a file where a directory should be")
        load = pressed(server, Mix(MAILBOXES, small=60_000, large_every=0))
        load.stop()
        obstacle.unlink()
        restart(server)
        until("it is delivered", lambda: not audit.awaited(load.sent, surviving(server)), 60, 0.2)
        more = Pressure(server.address, Mix(MAILBOXES, small=50_000, large_every=0), seed=2)
        more.start()
        recovered(more)
        all_arrive(server, load.sent + more.sent, 30)


@needs_images
@pytest.mark.slow
def test_no_room_in_the_mailboxes(tmp_path: Path, image: Image) -> None:
    """Accepted mail waits in the spool until the mailboxes have room; the log says so in few lines."""
    path = str(image.mount / "mail") + "/{domain}/{user}"
    with site(tmp_path / "site", workers=1, mailboxes={"path": path}, pressure=UNWATCHED) as server:
        server.mail = image.mount / "mail"
        with server.wire() as wire:
            wire.hello()
            for box in MAILBOXES:
                wire.message(b"Subject: first\r\n\r\n", box).queue_id  # noqa: B018 - checks that it was accepted
        until("the first are delivered", lambda: surviving(server).total() == len(MAILBOXES), 30)
        first = surviving(server)
        filler = image.fill()
        load = Load(server.address, Mix(MAILBOXES, small=30_000, large_every=10))
        load.start()
        until("two hundred are accepted", lambda: len(load.accepted) > 200, 60)
        load.stop()
        assert not [each for each in load.sent if each.refused]
        prompt(server)
        filler.unlink()
        until("all is there", lambda: not audit.awaited(load.sent, surviving(server)), RETRY, 0.2)
        server.stop_in_order()
        assert audit.compare(load.sent, surviving(server) - first) == []
        assert audit.left_behind(server.data, server.mail) == []
        lines = server.log.count("\n")
        assert lines < 3 * len(load.sent) + 100, f"{lines} lines for {len(load.sent)} messages"
