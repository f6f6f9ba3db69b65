"""What a generation is made of."""

import os
from pathlib import Path

import msgspec

from fastsmtp.clock import SystemClock
from fastsmtp.limits.settings import LimitSettings
from fastsmtp.process.generation import OWN_FILES, fitting, outbound_files
from fastsmtp.process.settings import default_settings
from fastsmtp.queue.plan.settings import PlanSettings
from fastsmtp.telemetry.maillog import MailLog


def test_a_quarter_of_the_files_is_kept_for_large_bodies(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "log", os.O_RDWR | os.O_CREAT)
    log = MailLog(SystemClock(), slot=None, fd=fd)
    limits = LimitSettings(connections=1000)
    assert fitting(limits, OWN_FILES + 1334, log) is limits
    assert fitting(limits, OWN_FILES + 1333, log).connections == 999
    assert fitting(limits, 10, log).connections == 1
    log.flush()
    said = os.pread(fd, 10_000, 0).decode()
    assert "only 1533 files may be open, a quarter of them by large messages: 999 connections" in said
    os.close(fd)


def test_connections_to_other_hosts_have_their_share_of_open_files(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(
        default_settings(tmp_path), workers=3, queue=PlanSettings(connections=100)
    )
    assert outbound_files(settings, 10_000) == 102
    assert outbound_files(settings, 100) == 25
