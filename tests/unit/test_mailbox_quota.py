"""What a mailbox with a quota answers, and when it is counted."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue

import pytest

from fastsmtp.mail.reply import MAILBOX_FULL, MAILBOX_OVER_QUOTA, Reply
from fastsmtp.mailbox import maildirsize
from fastsmtp.mailbox.quota import Quotas
from fastsmtp.mailbox.settings import MailboxSettings
from fastsmtp.pool import ThreadPool
from tests.fakes.clock import FakeClock

QUOTA = 1000


class World:
    """``posted`` gets what the loop is to run: that something was counted."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.clock = FakeClock()
        self.events: list[str] = []
        self.posted: Queue[Callable[[], None]] = Queue()
        self.pool = ThreadPool("quotas", 1, 10, self.posted.put)
        self.quotas = self.make()

    def make(self, full: str = "defer") -> Quotas:
        settings = MailboxSettings(path=f"{self.base}/{{domain}}/{{user}}", full=full)  # type: ignore[arg-type]
        return Quotas(settings, self.pool, self.clock, self.events.append)

    def mail(self, *sizes: int, folder: str = "new") -> None:
        box = self.base / "d" / "u"
        for name in ("tmp", "new", "cur"):
            (box / name).mkdir(parents=True, exist_ok=True)
        for i, size in enumerate(sizes):
            (box / folder / f"{i}.x.h,S={size}").touch()

    def says(self, text: str, age: float = 0.0) -> None:
        self.mail()
        file = self.base / "d" / "u" / "maildirsize"
        file.write_text(text)
        at = self.clock.now() - age
        os.utime(file, (at, at))

    def refusal(self, size: int = 0, quota: int = QUOTA) -> Reply | None:
        return self.quotas.refusal("u@d", quota, size)

    def until_counted(self) -> None:
        self.posted.get(timeout=30)()

    def text(self) -> str:
        return (self.base / "d" / "u" / "maildirsize").read_text()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.pool.stop()


def test_a_mailbox_that_is_not_there_yet(world: World) -> None:
    assert world.refusal() is None
    assert world.refusal(QUOTA) is None
    assert world.refusal(QUOTA + 1) is MAILBOX_FULL
    assert not (world.base / "d").exists()


def test_one_that_nobody_has_counted_takes_mail_meanwhile(world: World) -> None:
    world.mail(600, 500)
    assert world.refusal() is None
    assert world.refusal(QUOTA + 1) is MAILBOX_FULL
    world.until_counted()
    assert world.text() == "1000S\n1100 2\n"
    assert world.refusal() is MAILBOX_FULL


@pytest.mark.parametrize(("full", "reply"), [("defer", MAILBOX_FULL), ("reject", MAILBOX_OVER_QUOTA)])
def test_what_is_full_says_so(world: World, full: str, reply: Reply) -> None:
    world.quotas = world.make(full)
    world.says("1000S\n900 3\n")
    assert world.refusal() is None
    assert world.refusal(100) is None
    assert world.refusal(101) is reply
    world.says("1000S\n1000 3\n")
    assert world.refusal() is reply
    world.pool.stop()  # what was submitted is done
    assert world.posted.empty(), "nothing was counted"


def test_a_sum_in_doubt_refuses_for_now_and_is_counted(world: World) -> None:
    world.quotas = world.make("reject")
    world.mail(10)
    world.says("1000S\n900 1\n100 1\n")
    assert world.refusal() is MAILBOX_FULL
    world.until_counted()
    assert world.text() == "1000S\n10 1\n"
    assert world.refusal() is None


def test_another_quota_is_written_down(world: World) -> None:
    world.says("1000S\n900 1\n")
    assert world.refusal(quota=2000) is None
    world.until_counted()
    assert world.text() == "2000S\n0 0\n"


def test_it_rests_after_a_count(world: World) -> None:
    world.quotas = world.make("reject")
    world.mail(2000)
    world.says("1000S\n1 1\n")
    assert world.refusal(quota=100) is None
    world.until_counted()
    world.says("100S\n90 1\n90 1\n")
    assert world.refusal(quota=100) is MAILBOX_FULL
    assert world.text() == "100S\n90 1\n90 1\n"
    world.clock.pass_by(1)
    assert world.refusal(quota=100) is MAILBOX_FULL
    world.until_counted()
    assert world.text() == "100S\n2000 1\n"
    world.says(world.text())
    assert world.refusal(quota=100) is MAILBOX_OVER_QUOTA


def test_what_cannot_be_counted_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.mail(1)

    def broken(folder: int, quota: int) -> bool:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(maildirsize, "count", broken)
    assert world.refusal() is None
    world.until_counted()
    assert world.events == ["mailbox u@d cannot be counted for its quota: Input/output error"]


def test_a_mailbox_that_cannot_be_opened_is_left_to_delivery(world: World) -> None:
    (world.base / "d").mkdir()
    (world.base / "d" / "u").symlink_to("/etc")
    assert world.refusal() is None
