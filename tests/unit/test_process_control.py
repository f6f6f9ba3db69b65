"""A worker's control socket: there as long as the worker, and missing without harm."""

import asyncio
import os
from pathlib import Path

from fastsmtp.clock import SystemClock
from fastsmtp.control.client import ask, shards_of
from fastsmtp.control.place import socket_path
from fastsmtp.limits.counter import LimitTable
from fastsmtp.limits.rule_settings import rules_in_force
from fastsmtp.process.control import Control
from fastsmtp.telemetry.maillog import MailLog
from tests.fakes.queue_desk import FakeRoutes
from tests.unit.test_control_desk import Desk, far, opened


def control(data_dir: Path, *desks: Desk) -> Control:
    """One of slot 3, with these shards open."""
    clock = SystemClock()
    return Control(
        data_dir,
        3,
        lambda: [(number, desk.spool, desk.engine) for number, desk in enumerate(desks)],
        FakeRoutes(),
        certificates=lambda: ["ab", "cd"],
        limits=LimitTable(rules_in_force(()), clock).worker(lambda ip: False),
        log=MailLog(clock, slot=3),
        clock=clock,
    )


def test_it_answers_for_the_shards_that_are_open(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "spool") as one:
            queue_id = await one.submit(far(0))
            made = control(tmp_path, one)
            await made.start()
            await asyncio.sleep(0)
            desks, problems = await shards_of(tmp_path, [3])
            assert (sorted(desks), problems) == ([0], [])
            shown = await desks[0].show(queue_id)
            assert shown is not None
            assert shown.recipients[0].address == "u0@far.test"
            await made.stop()
            assert not (tmp_path / "control" / "3").exists()

    asyncio.run(main())


def test_it_tells_which_certificates_are_in_use(tmp_path: Path) -> None:
    async def main() -> None:
        made = control(tmp_path)
        await made.start()
        await asyncio.sleep(0)
        assert await ask(socket_path(tmp_path, 3), "tls.loaded", None, list[str]) == ["ab", "cd"]
        await made.stop()

    asyncio.run(main())


def test_where_it_cannot_listen_the_worker_goes_on(tmp_path: Path) -> None:
    (tmp_path / "control").write_text("in the way")
    fd = os.memfd_create("log")

    async def main() -> None:
        clock = SystemClock()
        log = MailLog(clock, slot=3, fd=fd)
        made = Control(
            tmp_path,
            3,
            list,
            FakeRoutes(),
            certificates=list,
            limits=LimitTable((), clock).worker(lambda ip: False),
            log=log,
            clock=clock,
        )
        await made.start()
        await made.stop()
        log.flush()

    asyncio.run(main())
    text = os.pread(fd, 1000, 0).decode()
    os.close(fd)
    assert "cannot listen at" in text
    assert text.count("\n") == 1
