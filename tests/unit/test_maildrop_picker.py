"""Who takes mail from the maildrop, when, and what a death at any moment leaves."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from fastsmtp.maildrop.directory import Directory, Opened, Unfit
from fastsmtp.maildrop.dropping import Dropping
from fastsmtp.maildrop.form import Drop
from fastsmtp.maildrop.picker import AT_ONCE, Named, Picker
from tests.fakes.clock import FakeClock

ID = "8DrRyN2Cb00A2"


async def until(condition: Callable[[], bool]) -> None:
    """Poll ``condition``."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


class Gate:
    """Takes everything, unless told otherwise; ``brought`` are bodies."""

    def __init__(self) -> None:
        self.brought: list[bytes] = []
        self.stored: set[str] = set()
        self.why = ""
        self.unfit: Unfit | None = None

    async def bring(self, opened: Opened, uid: int, named: Named) -> str:
        """See the picker's."""
        if self.unfit is not None:
            raise self.unfit
        await named(ID)
        if self.why:
            return self.why
        self.brought.append(b"".join(opened.pieces()))
        return ""

    async def known(self, queue_id: str) -> bool:
        """See the picker's."""
        return queue_id in self.stored


class Stage:
    """A maildrop, its picker and what that says."""

    def __init__(self, path: Path, rate: int = 0) -> None:
        self.path = path
        self.gate = Gate()
        self.said: list[str] = []
        self.clock = FakeClock()
        self.rate = rate

    def picker(self) -> Picker:
        """A picker, not started."""
        return Picker(
            str(self.path),
            self.gate,
            most=1000,
            rate=self.rate,
            facts={"message_size": "1000"},
            event=self.said.append,
            clock=self.clock,
        )

    def drop(self, body: bytes = b"\r\nx\r\n") -> str:
        """One message."""
        dropping = Dropping(str(self.path), Drop(None, ("alice",)))
        dropping.write(body)
        dropping.commit()
        return dropping.name

    def left(self) -> list[str]:
        """What lies there besides what the server tells."""
        return [name for name in os.listdir(self.path) if name != "server"]


def play(stage: Stage, work: Callable[[Picker], Awaitable[None]]) -> None:
    """Run ``work`` while a picker is at work."""

    async def main() -> None:
        picker = stage.picker()
        picker.start()
        try:
            await work(picker)
        finally:
            await picker.stop()

    asyncio.run(main())


def test_what_lies_there_and_what_comes(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.drop(b"\r\nfirst\r\n")

    async def work(picker: Picker) -> None:
        await until(lambda: len(stage.gate.brought) == 1)
        stage.drop(b"\r\nsecond\r\n")
        await until(lambda: len(stage.gate.brought) == 2 and not stage.left())

    play(stage, work)
    assert stage.gate.brought == [b"\r\nfirst\r\n", b"\r\nsecond\r\n"]


def test_another_takes_over_when_the_first_ends(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    holder = Directory(str(tmp_path))
    assert holder.acquire()
    stage.drop()

    async def work(picker: Picker) -> None:
        holder.close()
        await until(lambda: len(stage.gate.brought) == 1)

    play(stage, work)


def test_what_was_stored_before_a_death_is_not_brought_in_again(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.gate.stored.add(ID)
    directory = Directory(str(tmp_path))
    directory.enter(stage.drop(), ID)
    other = "8DrRyN2Cb00A3"
    directory.enter(stage.drop(b"\r\nnever stored\r\n"), other)
    directory.close()

    async def work(picker: Picker) -> None:
        await until(lambda: not stage.left())

    play(stage, work)
    assert stage.gate.brought == [b"\r\nnever stored\r\n"]


def test_what_cannot_be_taken_now_waits(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.gate.why = "short of disk space"
    name = stage.drop()

    async def work(picker: Picker) -> None:
        await until(lambda: bool(stage.said))
        assert stage.left() == [name]
        stage.gate.why = ""
        stage.clock.pass_by(20)
        stage.drop(b"\r\nwakes\r\n")
        await until(lambda: not stage.left())

    play(stage, work)
    assert len(stage.gate.brought) == 2
    assert stage.said == ["maildrop: mail waits there: short of disk space"]


def test_what_is_no_mail_is_removed_or_kept_aside(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    (tmp_path / ("1" * 32)).symlink_to("/etc/passwd")
    (tmp_path / ("2" * 32)).write_bytes(b"rubbish")

    async def work(picker: Picker) -> None:
        await until(lambda: len(stage.said) == 2)
        await until(lambda: stage.left() == ["damaged-" + "2" * 32])

    play(stage, work)
    assert stage.gate.brought == []
    assert any("removed: it is no regular file" in line for line in stage.said)


def test_a_user_has_so_many_in_a_minute(tmp_path: Path) -> None:
    stage = Stage(tmp_path, rate=2)
    for _ in range(3):
        name = stage.drop()
        os.chown(tmp_path / name, 12345 if os.geteuid() == 0 else -1, -1)

    async def work(picker: Picker) -> None:
        await until(lambda: len(stage.left()) == 1)
        assert len(stage.gate.brought) == 2
        stage.clock.pass_by(61)
        stage.drop()
        await until(lambda: not stage.left())

    play(stage, work)
    assert len(stage.gate.brought) == 4


def test_a_maildrop_that_is_not_there_is_told_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "none")

    async def work(picker: Picker) -> None:
        await until(lambda: bool(stage.said))

    play(stage, work)
    assert stage.said == [
        f"maildrop: no mail is taken: {tmp_path}/none: No such file or directory; check maildrop.path"
    ]


def test_names_of_mail_in_hand_that_somebody_made_up_hold_up_nobody(tmp_path: Path) -> None:
    """Whether such a message was stored takes a while to be found out: few are asked for in each round, the last."""
    stage = Stage(tmp_path)
    forged = [stage.drop(b"\r\nforged\r\n") for _ in range(3 * AT_ONCE)]
    for name in forged:
        (tmp_path / name).rename(tmp_path / f"{name}.{ID}")
    stage.drop(b"\r\ngood\r\n")
    asked: list[int] = []

    async def known(queue_id: str) -> bool:
        asked.append(len(stage.gate.brought))
        return False

    stage.gate.known = known  # type: ignore[method-assign]

    async def work(picker: Picker) -> None:
        await until(lambda: len(stage.gate.brought) == len(forged) + 1)

    play(stage, work)
    assert stage.gate.brought[0] == b"\r\ngood\r\n"
    assert asked[AT_ONCE] > AT_ONCE  # those of the first round had an end before the next was begun
