"""The queue's time over a restart."""

import os
from pathlib import Path

from fastsmtp.process.outbound import ClockFile
from fastsmtp.telemetry.maillog import MailLog
from tests.fakes.clock import FakeClock


def test_time_goes_on_over_a_restart_whatever_the_clock_says(tmp_path: Path) -> None:
    clock = FakeClock()
    log = MailLog(clock, slot=0, fd=os.open(os.devnull, os.O_WRONLY))
    file = tmp_path / "clock"
    first = ClockFile(file, clock, log)
    clock.pass_by(100)
    first.save()
    then = first.time.now(clock.monotonic())
    clock.wall += 10 * 365 * 86_400
    clock.steady = 5.0
    second = ClockFile(file, clock, log)
    assert second.time.now(clock.monotonic()) - then == 3600
    assert [path.name for path in tmp_path.iterdir()] == ["clock"]


def test_a_reading_nobody_can_read_is_none(tmp_path: Path) -> None:
    clock = FakeClock()
    fd = os.memfd_create("log")
    log = MailLog(clock, slot=0, fd=fd)
    file = tmp_path / "clock"
    file.write_bytes(b"\xff damaged")
    found = ClockFile(file, clock, log)
    assert found.time.now(clock.monotonic()) == clock.now()
    unwritable = ClockFile(tmp_path / "missing/clock", clock, log)
    unwritable.save()
    unwritable.save()
    log.flush()
    told = os.pread(fd, 10_000, 0).decode()
    os.close(fd)
    assert "the queue's time is that of the clock" in told
    assert told.count("cannot write") == 1
