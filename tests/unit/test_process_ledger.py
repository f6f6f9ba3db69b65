"""A worker's log is attached to its ledger."""

import asyncio
import os
from pathlib import Path

import msgspec

from fastsmtp.clock import SystemClock
from fastsmtp.ledger.search import Ledger
from fastsmtp.ledger.settings import LedgerSettings
from fastsmtp.process.ledger import keep_ledger
from fastsmtp.process.settings import default_settings
from fastsmtp.telemetry.maillog import MailLog


def test_what_is_told_to_the_log_is_kept(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(default_settings(tmp_path), data_dir=tmp_path)
    null = os.open(os.devnull, os.O_WRONLY)

    async def main() -> None:
        log = MailLog(SystemClock(), slot=3, fd=null)
        log.run_on(asyncio.get_running_loop())
        keeper = keep_ledger(settings, log, SystemClock())
        assert keeper is not None
        log.delivered("A", to="a@b", mailbox="a@b", delay=1.0)
        log.finish()
        keeper.stop()

    asyncio.run(main())
    os.close(null)
    [line] = Ledger(tmp_path / "ledger").find("to", "a@b")
    assert (line.text("id"), line.number("worker")) == ("A", 3)


def test_none_is_kept_where_none_is_wanted(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(
        default_settings(tmp_path), data_dir=tmp_path, ledger=LedgerSettings(enabled=False)
    )
    assert keep_ledger(settings, MailLog(SystemClock(), slot=0), SystemClock()) is None
    assert not (tmp_path / "ledger").exists()
