"""Disk and queue at their marks: mail is put off with 452 before there is trouble, what was taken in is delivered
meanwhile, and mail is taken again by itself."""

import os
import smtplib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.server import RunningServer, free_port, wait_until
from tests.system.test_queue_commands import Queue
from tests.system.test_relay_sink import Sink, bounces, names, relay, send
from tests.tools import images
from tests.tools.images import Image
from tests.tools.site import public_folder

MEGABYTE = 1 << 20
SMALL = {"map_size": 512 * MEGABYTE, "reserve": 8 * MEGABYTE, "ahead": 4 * MEGABYTE, "journal": 16 * MEGABYTE}

needs_images = pytest.mark.skipif(bool(images.why_not()), reason=images.why_not() or "runs")


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Image]:
    image = Image(tmp_path, "disk", 320)
    try:
        yield image
    finally:
        image.remove()


@pytest.fixture
def sink() -> Iterator[Sink]:
    with public_folder() as folder:
        sink = Sink(folder)
        yield sink
        sink.stop()


def answer(server: RunningServer, options: str = "") -> str:
    """What is said to MAIL over a new connection, which is then used to see that other commands are answered."""
    with smtplib.SMTP(*server.address, timeout=20) as client:
        client.ehlo()
        code, text = client.docmd("MAIL", f"FROM:<alice@test.example>{options}")
        assert client.noop()[0] == 250
        return f"{code} {text.decode()}"


def all_say(server: RunningServer, start: str) -> bool:
    """Whether so many connections are answered like this that no worker can be of another mind."""
    return all(answer(server).startswith(start) for _ in range(20))


def sent_until_refused(server: RunningServer, size: int, most: int) -> list[str]:
    """Send messages until one is refused at MAIL; the subjects of those that were accepted."""
    accepted: list[str] = []
    for subject in names("mail", most):
        try:
            send(server, [subject], size=size)
        except smtplib.SMTPSenderRefused:
            return accepted
        accepted.append(subject)
    raise AssertionError(f"{most} messages were taken")


def told(server: RunningServer, word: str) -> int:
    return server.log.count(f" event pressure {word}: ")


def taken_again(server: RunningServer, sink: Sink, accepted: list[str]) -> None:
    """Mail is accepted, and all that ever was arrives, once."""
    wait_until(lambda: all_say(server, "250 2.1.0 "), "mail is taken again")
    send(server, ["last"])
    everything = Counter([*accepted, "last"])
    wait_until(lambda: sink.subjects() >= everything, "all has arrived", 30)
    wait_until(lambda: server.log.count(" sent id=") == everything.total(), "all is logged")
    assert server.stop() == 0
    assert sink.subjects() == everything


def test_a_queue_at_its_limit(sink: Sink, tmp_path: Path) -> None:
    """With two workers, whose queues count together."""
    with relay(tmp_path, sink.port, pressure={"queue": 20}) as server:
        accepted = names("first", 20)
        send(server, accepted)
        wait_until(
            lambda: all_say(server, "452 4.3.1 too much mail waits here, try later"), "mail is refused"
        )
        server.wait_log(
            r"pressure begins: number of messages that wait is 20, pressure.queue is 20; .* until it is 18:"
        )
        sink.start()
        wait_until(lambda: len(sink.subjects()) == 20, "the queue drains meanwhile", 30)
        taken_again(server, sink, accepted)
        assert (told(server, "begins"), told(server, "ends")) == (1, 1), "one line for all workers"


def test_the_server_s_own_mail_and_the_operator_are_not_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with relay(tmp_path, free_port(), pressure={"queue": 20}) as server:
        queue = Queue(server, capsys)
        send(server, names("first", 20))
        wait_until(lambda: all_say(server, "452 4.3.1 "), "mail is refused")
        wait_until(lambda: len(queue.rows("--state", "deferred")) == 20, "all have been tried")
        [first, *_] = queue.rows()
        assert queue("bounce", "--yes", first["id"]) == "1 message returned to their senders\n"
        wait_until(lambda: bounces(server), "the bounce is delivered")
        assert all_say(server, "452 4.3.1 "), "one less is not enough"
        assert queue("rm", "--yes", "--to-domain", "far.test") == "19 messages removed\n"
        wait_until(lambda: all_say(server, "250 2.1.0 "), "mail is taken again")
        assert server.stop() == 0


@pytest.mark.parametrize("setting", [{"memory": MEGABYTE}, {"memory_free": 1 << 50}])
def test_short_of_memory(tmp_path: Path, setting: dict[str, int]) -> None:
    with relay(tmp_path, free_port(), pressure=setting) as server:
        wait_until(lambda: all_say(server, "452 4.3.1 short of memory, try later"), "mail is refused")
        server.wait_log(f"pressure begins: .*memory of .*, pressure.{next(iter(setting))} is ")
        assert server.stop() == 0


@needs_images
@pytest.mark.slow
def test_a_disk_that_fills_with_mail_that_cannot_leave(sink: Sink, image: Image, tmp_path: Path) -> None:
    """Refused long before the disk is full; delivered while it still is at its mark; taken when there is room."""
    mark = 64 * MEGABYTE
    settings: dict[str, Any] = {
        "data_dir": str(image.mount / "data"),
        "spool": SMALL,
        "pressure": {"disk_free": mark},
        "workers": 1,
    }
    with relay(tmp_path / "site", sink.port, **settings) as server:
        filler = image.fill(leave=mark + 40 * MEGABYTE)
        assert answer(server, f" SIZE={30 * MEGABYTE}").startswith("250 ")
        wait_until(
            lambda: answer(server, f" SIZE={45 * MEGABYTE}").startswith(
                "452 4.3.1 no room for a message of this size"
            ),
            "what cannot fit is refused by its size",
        )
        # Disks are looked at once a second: on a fast one much comes in between.
        accepted = sent_until_refused(server, MEGABYTE // 8, 2400)
        assert len(accepted) > 10
        assert answer(server) == "452 4.3.1 short of disk space, try later"
        assert image.free() > mark // 8, "there is no trouble yet"
        more = image.fill(leave=mark // 2)
        assert more == filler
        sink.start()
        wait_until(
            lambda: sink.subjects() == Counter(accepted), "what was accepted is delivered meanwhile", 60
        )
        image.fill(leave=mark // 2)
        assert answer(server) == "452 4.3.1 short of disk space, try later"
        filler.unlink()
        taken_again(server, sink, accepted)
        assert (told(server, "begins"), told(server, "ends")) == (1, 1)
        assert "Traceback" not in server.log
    assert not list((image.mount / "data").glob("spool/*/body/*"))


@needs_images
@pytest.mark.slow
def test_a_disk_that_runs_out_of_inodes(sink: Sink, image: Image, tmp_path: Path) -> None:
    inodes = os.statvfs(image.mount).f_favail
    settings: dict[str, Any] = {
        "mailboxes": {"path": f"{image.mount}/{{domain}}/{{user}}"},
        "pressure": {"disk_free": 0, "inodes_free": inodes * 7 // 10},
    }
    with relay(tmp_path / "site", sink.port, **settings) as server:
        assert answer(server).startswith("250 ")
        files = [image.mount / f"file-{number}" for number in range(inodes * 4 // 10)]
        for file in files:
            file.touch()
        wait_until(lambda: answer(server) == "452 4.3.1 short of disk space, try later", "mail is refused")
        server.wait_log(f"pressure begins: number of free inodes of {image.mount} is ")
        for file in files:
            file.unlink()
        sink.start()
        taken_again(server, sink, [])
